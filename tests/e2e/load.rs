//! A random load of writes on casters, and a record of what was acknowledged.
//!
//! Invariant: a record is what the answers say, never what was read back.

use std::collections::BTreeMap;

use onair::api::client::Client;
use onair::api::grpc::pb as v1;
use tonic::Status;

use crate::chance::Chance;

/// Casters of a writer at most, so that reading everything back stays quick.
const CASTERS: usize = 3;
/// Parts of one kind in a caster at most.
const PARTS: usize = 8;

/// A caster as its acknowledged writes made it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Record {
    token: String,
    tags: Vec<v1::Tag>,
    group: String,
    config: v1::CasterConfig,
    sources: BTreeMap<String, v1::VideoResource>,
    layouts: BTreeMap<String, v1::Layout>,
    components: BTreeMap<String, v1::Component>,
    episodes: BTreeMap<String, v1::Episode>,
    revision: u64,
}

/// One write.
#[derive(Clone, Debug)]
pub(crate) enum Write {
    Create { token: String, tags: Vec<v1::Tag> },
    Delete,
    Group(String),
    Config(v1::CasterConfig),
    Source(v1::VideoResource),
    DropSource(String),
    Layout(v1::Layout),
    DropLayout(String),
    Component(v1::Component),
    DropComponent(String),
    Episodes(Vec<v1::Episode>),
    DropEpisode(String),
}

/// What was acknowledged: the ids that it made or is about, and the revision.
type Acknowledged = Result<(Vec<String>, u64), Status>;

impl Write {
    /// The part that it is about, if there is one already.
    pub(crate) fn id(&self) -> Option<String> {
        let id = match self {
            Write::Source(part) => &part.resource_id,
            Write::Layout(part) => &part.layout_id,
            Write::Component(part) => &part.component_id,
            _ => return None,
        };
        (!id.is_empty()).then(|| id.clone())
    }

    /// Sends it. A part with an id is changed, one without is added.
    pub(crate) async fn send(self, client: &mut Client, caster: &str) -> Acknowledged {
        let caster_id = caster.to_owned();
        Ok(match self {
            Write::Create { token, tags } => {
                let request = v1::CreateCasterRequest {
                    caster_name: token.clone(),
                    client_token: token,
                    norm_type: Some(1),
                    charge_type: "PostPaid".into(),
                    tags,
                    ..Default::default()
                };
                let answer = client.create_caster(request).await?.into_inner();
                (vec![answer.caster_id], answer.revision)
            }
            Write::Delete => {
                let request = v1::DeleteCasterRequest { caster_id };
                let answer = client.delete_caster(request).await?.into_inner();
                (Vec::new(), answer.revision)
            }
            Write::Group(new_resource_group_id) => {
                let request =
                    v1::UpdateCasterResourceGroupRequest { caster_id, new_resource_group_id };
                let answer = client.update_caster_resource_group(request).await?.into_inner();
                (Vec::new(), answer.revision)
            }
            Write::Config(config) => {
                let request = v1::SetCasterConfigRequest { caster_id, config: Some(config) };
                let answer = client.set_caster_config(request).await?.into_inner();
                (Vec::new(), answer.revision)
            }
            part => part.send_part(client, caster_id).await?,
        })
    }

    #[expect(clippy::needless_update, reason = "some of the requests have further fields")]
    async fn send_part(self, client: &mut Client, caster_id: String) -> Acknowledged {
        /// Adds or changes, depending on the id; answers the id and the revision.
        macro_rules! put {
            ($part:ident, $id:ident, $field:ident, $add:ident $adding:ident, $modify:ident $modifying:ident) => {{
                if $part.$id.is_empty() {
                    let part = Some($part);
                    let request = v1::$adding { caster_id, $field: part, ..Default::default() };
                    let answer = client.$add(request).await?.into_inner();
                    (vec![answer.$id], answer.revision)
                } else {
                    let ($id, $field) = ($part.$id.clone(), Some($part));
                    let request = v1::$modifying { caster_id, $id, $field, ..Default::default() };
                    let answer = client.$modify(request).await?.into_inner();
                    (vec![answer.$id], answer.revision)
                }
            }};
        }
        Ok(match self {
            Write::Source(part) => put!(
                part, resource_id, video_resource,
                add_caster_video_resource AddCasterVideoResourceRequest,
                modify_caster_video_resource ModifyCasterVideoResourceRequest
            ),
            Write::Layout(part) => put!(
                part, layout_id, layout,
                add_caster_layout AddCasterLayoutRequest,
                modify_caster_layout ModifyCasterLayoutRequest
            ),
            Write::Component(part) => put!(
                part, component_id, component,
                add_caster_component AddCasterComponentRequest,
                modify_caster_component ModifyCasterComponentRequest
            ),
            Write::Episodes(episodes) => {
                let request = v1::AddCasterProgramRequest { caster_id, episodes };
                let answer = client.add_caster_program(request).await?.into_inner();
                (answer.episode_ids, answer.revision)
            }
            other => (Vec::new(), other.send_drop(client, caster_id).await?),
        })
    }

    async fn send_drop(self, client: &mut Client, caster_id: String) -> Result<u64, Status> {
        Ok(match self {
            Write::DropSource(resource_id) => {
                let request = v1::DeleteCasterVideoResourceRequest { caster_id, resource_id };
                client.delete_caster_video_resource(request).await?.into_inner().revision
            }
            Write::DropLayout(layout_id) => {
                let request = v1::DeleteCasterLayoutRequest { caster_id, layout_id };
                client.delete_caster_layout(request).await?.into_inner().revision
            }
            Write::DropComponent(component_id) => {
                let request = v1::DeleteCasterComponentRequest { caster_id, component_id };
                client.delete_caster_component(request).await?.into_inner().revision
            }
            Write::DropEpisode(episode_id) => {
                let request = v1::DeleteCasterEpisodeRequest { caster_id, episode_id };
                client.delete_caster_episode(request).await?.into_inner().revision
            }
            other => unreachable!("{other:?} removes nothing"),
        })
    }
}

fn tag(chance: &mut Chance) -> v1::Tag {
    v1::Tag { key: format!("k{}", chance.next()), value: format!("v{}", chance.next()) }
}

fn quarter(chance: &mut Chance) -> f32 {
    chance.within(1, 5) as f32 / 4.0
}

/// A name of an element, if there is one.
fn any(chance: &mut Chance, names: impl Iterator<Item = String>) -> Option<String> {
    let names: Vec<_> = names.collect();
    (!names.is_empty()).then(|| names[chance.within(0, names.len() as i64) as usize].clone())
}

impl Record {
    /// What the creation of a caster leaves.
    pub(crate) fn created(token: &str, tags: &[v1::Tag], revision: u64) -> Record {
        let config = v1::CasterConfig {
            caster_name: token.to_owned(),
            transcode_config: Some(v1::TranscodeConfig::default()),
            frame_rate: "30".into(),
            ..Default::default()
        };
        let (token, tags) = (token.to_owned(), tags.to_vec());
        Record { token, tags, config, revision, ..Record::default() }
    }

    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// The parts that a read shows and this does not have, in their order.
    pub(crate) fn unknown_in(&self, found: &Record) -> Vec<String> {
        let new = |known: &dyn Fn(&str) -> bool, ids: Vec<&String>| {
            ids.into_iter().filter(|id| !known(id)).cloned().collect::<Vec<_>>()
        };
        let mut unknown = new(&|id| self.sources.contains_key(id), found.sources.keys().collect());
        unknown.extend(new(&|id| self.layouts.contains_key(id), found.layouts.keys().collect()));
        unknown
            .extend(new(&|id| self.components.contains_key(id), found.components.keys().collect()));
        let mut episodes =
            new(&|id| self.episodes.contains_key(id), found.episodes.keys().collect());
        episodes.sort_by_key(|id| found.episodes[id].episode_name.clone());
        unknown.extend(episodes);
        unknown
    }

    /// The write took place.
    pub(crate) fn apply(&mut self, write: &Write, ids: &[String], revision: u64) {
        assert!(revision > self.revision, "{write:?}: {} → {revision}", self.revision);
        self.revision = revision;
        match write.clone() {
            Write::Create { .. } | Write::Delete => unreachable!("not a change of a caster"),
            Write::Group(group) => self.group = group,
            Write::Config(config) => self.config = config,
            Write::Source(part) => {
                let part = v1::VideoResource { resource_id: ids[0].clone(), ..part };
                self.sources.insert(ids[0].clone(), part);
            }
            Write::Layout(part) => {
                let part = v1::Layout { layout_id: ids[0].clone(), ..part };
                self.layouts.insert(ids[0].clone(), part);
            }
            Write::Component(part) => {
                let part = v1::Component { component_id: ids[0].clone(), ..part };
                self.components.insert(ids[0].clone(), part);
            }
            Write::Episodes(parts) => {
                assert_eq!(ids.len(), parts.len(), "all of a programme, or nothing");
                for (id, part) in ids.iter().zip(parts) {
                    let part = v1::Episode { episode_id: id.clone(), ..part };
                    self.episodes.insert(id.clone(), part);
                }
            }
            Write::DropSource(id) => drop(self.sources.remove(&id)),
            Write::DropLayout(id) => drop(self.layouts.remove(&id)),
            Write::DropComponent(id) => drop(self.components.remove(&id)),
            Write::DropEpisode(id) => drop(self.episodes.remove(&id)),
        }
    }

    /// A write that the rules allow.
    pub(crate) fn choose(&self, chance: &mut Chance) -> Write {
        loop {
            let write = match chance.within(0, 24) {
                0 => Some(Write::Group(format!("group {}", chance.next()))),
                1..=3 => Some(Write::Config(self.config(chance))),
                4..=8 => self.source(chance),
                9..=13 => self.layout(chance),
                14..=17 => self.component(chance),
                18..=20 => self.programme(chance),
                21 => any(chance, self.layouts.keys().cloned()).map(Write::DropLayout),
                22 => self.drop_episode(chance),
                _ => self.drop_source(chance),
            };
            if let Some(write) = write {
                return write;
            }
        }
    }

    fn config(&self, chance: &mut Chance) -> v1::CasterConfig {
        v1::CasterConfig {
            caster_name: format!("name {}", chance.next()),
            domain_name: format!("d{}.example.org", chance.next()),
            transcode_config: Some(v1::TranscodeConfig {
                caster_template: chance.pick(&["lp_ld", "lp_sd", "lp_hd", "lp_ud"]).into(),
                video_bps: Some(chance.within(100_000, 5_000_000) as u32),
                ..Default::default()
            }),
            frame_rate: chance.pick(&["25", "30", "50"]).into(),
            program_name: format!("programme {}", chance.next()),
            ..Default::default()
        }
    }

    fn source(&self, chance: &mut Chance) -> Option<Write> {
        let taken = |name: &str| self.sources.values().any(|source| source.location_id == name);
        let known = any(chance, self.sources.keys().cloned()).filter(|_| chance.once_in(2));
        let (resource_id, location_id) = match &known {
            Some(id) => (id.clone(), self.sources[id].location_id.clone()),
            None => {
                let free = (1..=PARTS).map(|n| format!("RV{n:02}")).find(|name| !taken(name))?;
                (String::new(), free)
            }
        };
        Some(Write::Source(v1::VideoResource {
            resource_id,
            resource_name: format!("source {}", chance.next()),
            location_id,
            vod_url: "pattern:640x360@30".into(),
            repeat_num: Some(chance.within(0, 9) as i32),
            begin_offset: Some(chance.within(0, 9_000) as i32),
            end_offset: Some(chance.within(10_000, 99_000) as i32),
            pts_callback_interval: Some(0),
            fixed_delay_duration: Some(0),
            ..Default::default()
        }))
    }

    fn layout(&self, chance: &mut Chance) -> Option<Write> {
        let mut locations: Vec<_> = self.sources.values().map(|s| s.location_id.clone()).collect();
        locations.truncate(chance.within(1, 4) as usize);
        if locations.is_empty() {
            return None;
        }
        let known = any(chance, self.layouts.keys().cloned());
        let known = known.filter(|_| self.layouts.len() >= PARTS || chance.once_in(2));
        let video = |_: &String| v1::VideoLayer {
            fill_mode: "fit".into(),
            height_normalized: quarter(chance),
            width_normalized: quarter(chance),
            position_normalized: vec![quarter(chance) - 0.25, quarter(chance) - 0.25],
            position_refer: chance.pick(&["topLeft", "center", "bottomRight"]).into(),
            ..Default::default()
        };
        let video_layers = locations.iter().map(video).collect();
        let audio = |_: &String| v1::AudioLayer {
            volume_rate: Some(quarter(chance)),
            valid_channel: chance.pick(&["all", "leftChannel"]).into(),
            fixed_delay_duration: chance.within(0, 5000) as i32,
            ..Default::default()
        };
        let audio_layers = locations.iter().map(audio).collect();
        Some(Write::Layout(v1::Layout {
            layout_id: known.unwrap_or_default(),
            blend_list: locations.clone(),
            video_layers,
            mix_list: locations,
            audio_layers,
            ..Default::default()
        }))
    }

    fn component(&self, chance: &mut Chance) -> Option<Write> {
        if chance.once_in(6) {
            let unused = self.components.keys().filter(|id| !self.is_in_an_episode(id)).cloned();
            return any(chance, unused).map(Write::DropComponent);
        }
        let taken = |name: &str| self.components.values().any(|part| part.location_id == name);
        let known = any(chance, self.components.keys().cloned()).filter(|_| chance.once_in(2));
        let (component_id, location_id) = match &known {
            Some(id) => (id.clone(), self.components[id].location_id.clone()),
            None => {
                let free = (1..=PARTS).map(|n| format!("RC{n:02}")).find(|name| !taken(name))?;
                (String::new(), free)
            }
        };
        Some(Write::Component(v1::Component {
            component_id,
            component_name: format!("component {}", chance.next()),
            location_id,
            component_type: "text".into(),
            component_layer: Some(v1::ComponentLayer {
                height_normalized: 0.0,
                width_normalized: quarter(chance),
                position_normalized: vec![quarter(chance) - 0.25, 0.0],
                position_refer: "topLeft".into(),
                transparency: Some(chance.within(0, 256) as i32),
            }),
            text_layer_content: Some(v1::TextLayerContent {
                text: format!("text {}", chance.next()),
                color: format!("0x{:06x}", chance.next() & 0xff_ffff),
                font_name: "KaiTi".into(),
                size_normalized: Some(quarter(chance)),
                ..Default::default()
            }),
            layer_order: chance.pick(&["cover", "background"]).into(),
            effect: "none".into(),
            ..Default::default()
        }))
    }

    /// Two to four items at once, to come long after the test.
    fn programme(&self, chance: &mut Chance) -> Option<Write> {
        let resource_id = any(chance, self.sources.keys().cloned())?;
        if self.episodes.len() >= 4 * PARTS {
            return self.drop_episode(chance);
        }
        let first = chance.next();
        let item = |n: i64| v1::Episode {
            episode_name: format!("episode {first:020} {n}"),
            episode_type: "Resource".into(),
            resource_id: resource_id.clone(),
            start_time_unix_ms: Some(4_000_000_000_000 + n * 60_000),
            end_time_unix_ms: Some(4_000_000_000_000 + n * 60_000 + 30_000),
            switch_type: "TimeFirst".into(),
            ..Default::default()
        };
        Some(Write::Episodes((0..chance.within(2, 5)).map(item).collect()))
    }

    fn drop_episode(&self, chance: &mut Chance) -> Option<Write> {
        any(chance, self.episodes.keys().cloned()).map(Write::DropEpisode)
    }

    fn is_in_an_episode(&self, id: &str) -> bool {
        self.episodes
            .values()
            .any(|e| e.resource_id == id || e.component_ids.iter().any(|c| c == id))
    }

    fn drop_source(&self, chance: &mut Chance) -> Option<Write> {
        let unused = self.sources.values().filter(|source| {
            let is_shown = |layout: &v1::Layout| layout.blend_list.contains(&source.location_id);
            !self.is_in_an_episode(&source.resource_id) && !self.layouts.values().any(is_shown)
        });
        any(chance, unused.map(|source| source.resource_id.clone())).map(Write::DropSource)
    }
}

/// A new caster, when there is room for it; else sometimes the end of one.
pub(crate) fn choose_caster(chance: &mut Chance, casters: usize) -> Option<Write> {
    if casters == 0 || (casters < CASTERS && chance.once_in(8)) {
        let token = format!("caster-{:016x}", chance.next());
        return Some(Write::Create { token, tags: vec![tag(chance), tag(chance)] });
    }
    (casters == CASTERS && chance.once_in(20)).then_some(Write::Delete)
}

/// Everything that the server tells of a caster; none when there is no such caster.
pub(crate) async fn read(client: &mut Client, caster: &str) -> Result<Option<Record>, Status> {
    let caster_id = caster.to_owned();
    let request = v1::DescribeCastersRequest { caster_id: caster.into(), ..Default::default() };
    let page = client.describe_casters(request).await?.into_inner().casters;
    let Some(listed) = page.into_iter().next() else { return Ok(None) };
    let request = v1::DescribeCasterConfigRequest { caster_id: caster_id.clone() };
    let config = client.describe_caster_config(request).await?.into_inner();
    let request = v1::DescribeCasterVideoResourcesRequest { caster_id: caster_id.clone() };
    let sources = client.describe_caster_video_resources(request).await?.into_inner();
    let request =
        v1::DescribeCasterLayoutsRequest { caster_id: caster_id.clone(), ..Default::default() };
    let layouts = client.describe_caster_layouts(request).await?.into_inner();
    let request =
        v1::DescribeCasterComponentsRequest { caster_id: caster_id.clone(), ..Default::default() };
    let components = client.describe_caster_components(request).await?.into_inner();
    let request = v1::DescribeCasterProgramRequest { caster_id, ..Default::default() };
    let episodes = client.describe_caster_program(request).await?.into_inner();
    let revisions = [
        config.revision,
        sources.revision,
        layouts.revision,
        components.revision,
        episodes.revision,
    ];
    assert_eq!(revisions, [listed.revision; 5]);
    Ok(Some(Record {
        token: listed.client_token_id,
        tags: listed.tags,
        group: listed.resource_group_id,
        config: config.config.unwrap_or_default(),
        sources: by_id(sources.video_resources, |part| &part.resource_id),
        layouts: by_id(layouts.layouts, |part| &part.layout_id),
        components: by_id(components.components, |part| &part.component_id),
        episodes: by_id(episodes.episodes, |part| &part.episode_id),
        revision: listed.revision,
    }))
}

fn by_id<T>(parts: Vec<T>, id: impl Fn(&T) -> &String) -> BTreeMap<String, T> {
    parts.into_iter().map(|part| (id(&part).clone(), part)).collect()
}

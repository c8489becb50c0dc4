//! Random calls in random states against a small model of the rules of state: who is on air, which scenes are on, what is
//! on standby, and that channels stay. The model knows nothing of the catalog's own.

use proptest::prelude::*;

use super::{World, config};
use crate::catalog::ErrorCode::{self, *};
use crate::catalog::{Call, ChannelDraft, ConfigDraft, SceneDraft, WayDraft, WhenDraft};
use crate::ids::Bus;

#[derive(Clone, Copy, Debug)]
enum Op {
    Configure { domain: bool, template: bool, standby: bool, channels: bool },
    Start,
    Stop,
    Restart,
    Delete,
    StartScene(Bus),
    StopScene(Bus),
    SetScene { bus: Bus, layout: bool },
    Take,
    Standby(Bus),
    SetChannel(u8),
    DeleteLayout,
}

fn op() -> impl Strategy<Value = Op> {
    let bus = || prop::sample::select(vec![Bus::Pvw, Bus::Pgm]);
    let mostly = || prop::bool::weighted(0.9);
    let configure = (mostly(), mostly(), any::<bool>(), prop::bool::weighted(0.2));
    prop_oneof![
        2 => configure.prop_map(|(domain, template, standby, channels)| Op::Configure {
            domain,
            template,
            standby,
            channels
        }),
        3 => Just(Op::Start),
        1 => Just(Op::Stop),
        1 => Just(Op::Restart),
        1 => Just(Op::Delete),
        1 => bus().prop_map(Op::StartScene),
        2 => bus().prop_map(Op::StopScene),
        3 => (bus(), any::<bool>()).prop_map(|(bus, layout)| Op::SetScene { bus, layout }),
        2 => Just(Op::Take),
        2 => bus().prop_map(Op::Standby),
        1 => (1u8..3).prop_map(Op::SetChannel),
        1 => Just(Op::DeleteLayout),
    ]
}

/// Returns the refusal if it is so.
macro_rules! refuse {
    ($code:ident if $refused:expr) => {
        if $refused {
            return Err($code);
        }
    };
}

#[derive(Clone, Debug, Default)]
struct Model {
    domain: bool,
    template: bool,
    standby: bool,
    channels: bool,
    /// Layouts that there are.
    layouts: usize,
    /// The channel that plays the first source.
    bound: Option<u8>,
    was_started: bool,
    on_air: bool,
    pvw_off: bool,
    on_standby: bool,
    pvw_shows: bool,
    pgm_shows: bool,
}

impl Model {
    fn is_on(&self, bus: Bus) -> bool {
        self.on_air && (bus == Bus::Pgm || !self.pvw_off)
    }

    /// Refuses a call on a scene that is not on.
    fn on(&self, bus: Bus) -> Result<(), ErrorCode> {
        match (self.was_started, self.is_on(bus)) {
            (false, _) => Err(SceneNotFound),
            (true, false) => Err(SceneNotStarted),
            (true, true) => Ok(()),
        }
    }

    /// Refuses a call that turns PVW on or off.
    fn turns(&self, bus: Bus) -> Result<(), ErrorCode> {
        match (self.was_started, bus, self.on_air) {
            (false, ..) => Err(SceneNotFound),
            (true, Bus::Pgm, _) => Err(ParameterMalformed),
            (true, Bus::Pvw, false) => Err(CasterIdle),
            (true, Bus::Pvw, true) => Ok(()),
        }
    }

    fn configure(
        &mut self,
        [domain, template, standby, channels]: [bool; 4],
    ) -> Result<(), ErrorCode> {
        refuse!(ChannelDisableUnsupported if self.channels && !channels);
        let in_use = !domain || !template || channels != self.channels;
        refuse!(CasterInUse if self.on_air && in_use);
        refuse!(SceneInUse if self.on_standby && !standby);
        if channels && !self.channels {
            self.layouts = 0;
        }
        (self.domain, self.template) = (domain, template);
        (self.standby, self.channels) = (standby, channels);
        Ok(())
    }

    fn start(&mut self) -> Result<(), ErrorCode> {
        refuse!(CasterInUse if self.on_air);
        refuse!(DomainNameNotFound if !self.domain);
        refuse!(ConfigurationNotFound if !self.template);
        (self.was_started, self.on_air) = (true, true);
        Ok(())
    }

    fn stop(&mut self) -> Result<(), ErrorCode> {
        refuse!(SceneNotFound if !self.was_started);
        refuse!(SceneNotStarted if !self.on_air);
        (self.on_air, self.pvw_off, self.on_standby) = (false, false, false);
        (self.pvw_shows, self.pgm_shows) = (false, false);
        Ok(())
    }

    fn call(&mut self, op: Op) -> Result<(), ErrorCode> {
        match op {
            Op::Configure { domain, template, standby, channels } => {
                self.configure([domain, template, standby, channels])
            }
            Op::Start => self.start(),
            Op::Stop => self.stop(),
            Op::Restart => {
                refuse!(SceneNotFound if !self.was_started);
                refuse!(CasterIdle if !self.on_air);
                Ok(())
            }
            Op::Delete => {
                refuse!(CasterInUse if self.on_air);
                Ok(())
            }
            Op::StartScene(bus) => {
                self.turns(bus)?;
                refuse!(SceneInUse if !std::mem::take(&mut self.pvw_off));
                Ok(())
            }
            Op::StopScene(bus) => {
                self.turns(bus)?;
                refuse!(SceneNotStarted if std::mem::replace(&mut self.pvw_off, true));
                Ok(())
            }
            Op::SetScene { bus, layout } => {
                self.on(bus)?;
                refuse!(LayoutNotFound if layout && self.layouts == 0);
                match bus {
                    Bus::Pvw => self.pvw_shows |= layout,
                    Bus::Pgm => {
                        self.pgm_shows |= layout;
                        self.on_standby = false;
                    }
                }
                Ok(())
            }
            Op::Take => {
                self.on(Bus::Pvw)?;
                refuse!(LayoutNotFound if !self.pvw_shows);
                (self.pgm_shows, self.on_standby) = (true, false);
                Ok(())
            }
            Op::Standby(bus) => {
                self.on(bus)?;
                refuse!(ParameterMalformed if bus == Bus::Pvw);
                refuse!(UrgentMaterialNotFound if !self.standby);
                self.on_standby = true;
                Ok(())
            }
            Op::SetChannel(channel) => {
                refuse!(ChannelDisabled if !self.channels);
                refuse!(ResourceOfChannelExist if self.bound.is_some_and(|b| b != channel));
                self.bound = Some(channel);
                Ok(())
            }
            Op::DeleteLayout => {
                refuse!(LayoutNotFound if self.layouts == 0);
                refuse!(SceneInUse if self.pvw_shows || self.pgm_shows);
                self.layouts -= 1;
                Ok(())
            }
        }
    }
}

/// The same call of the catalog; what does not exist is called `nobody`.
fn call_of(world: &World, op: Op) -> Call {
    let caster_id = world.caster.clone();
    let or_nobody = |id: String| if id.is_empty() { "nobody".to_owned() } else { id };
    let scene = |bus| or_nobody(world.scene_id(bus));
    let layout = || {
        let first = world.the_caster().layouts.first();
        or_nobody(first.map(|layout| layout.id.to_string()).unwrap_or_default())
    };
    match op {
        Op::Configure { domain, template, standby, channels } => {
            let ConfigDraft { domain_name, caster_template, .. } = config();
            let given = |is: bool, text: String| if is { text } else { String::new() };
            let config = ConfigDraft {
                domain_name: given(domain, domain_name),
                caster_template: given(template, caster_template),
                urgent_image_url: given(standby, "file:standby.png".into()),
                channel_enable: Some(channels.into()),
                ..ConfigDraft::default()
            };
            Call::SetCasterConfig { caster_id, config }
        }
        Op::Start => Call::StartCaster { caster_id },
        Op::Stop => Call::StopCaster { caster_id },
        Op::Restart => Call::RestartCaster { caster_id },
        Op::Delete => Call::DeleteCaster { caster_id },
        Op::StartScene(bus) => Call::StartCasterScene { caster_id, scene_id: scene(bus) },
        Op::StopScene(bus) => Call::StopCasterScene { caster_id, scene_id: scene(bus) },
        Op::SetScene { bus, layout: with_layout } => Call::SetCasterSceneConfig(SceneDraft {
            caster_id,
            scene_id: scene(bus),
            layout_id: if with_layout { layout() } else { String::new() },
            ..SceneDraft::default()
        }),
        Op::Take => Call::CopyCasterSceneConfig {
            caster_id,
            from_scene_id: scene(Bus::Pvw),
            to_scene_id: scene(Bus::Pgm),
            when: WhenDraft::default(),
            way: WayDraft::default(),
        },
        Op::Standby(bus) => Call::EffectCasterUrgent { caster_id, scene_id: scene(bus) },
        Op::SetChannel(channel) => Call::SetCasterChannel(ChannelDraft {
            caster_id,
            channel_id: format!("RV{channel:02}"),
            resource_id: world.the_caster().resources[0].id.to_string(),
            ..ChannelDraft::default()
        }),
        Op::DeleteLayout => Call::DeleteCasterLayout { caster_id, layout_id: layout() },
    }
}

fn check_same(world: &World, model: &Model) {
    let caster = world.the_caster();
    assert_eq!(caster.is_on_air(), model.on_air);
    for bus in [Bus::Pvw, Bus::Pgm] {
        assert_eq!(caster.is_scene_on(bus), model.is_on(bus), "{bus:?}");
        let shows = if bus == Bus::Pvw { model.pvw_shows } else { model.pgm_shows };
        let layout = caster.scene(bus).and_then(|scene| scene.layout.as_ref());
        assert_eq!(layout.is_some(), shows, "{bus:?}");
    }
    assert_eq!(caster.scenes.as_ref().is_some_and(|scenes| scenes.on_standby), model.on_standby);
    assert_eq!(caster.config.channel_enable, model.channels);
    assert_eq!(caster.layouts.len(), model.layouts);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]
    #[test]
    fn the_catalog_does_as_the_model(ops in prop::collection::vec(op(), 1..80)) {
        let mut world = World::ready();
        let ready = Model { domain: true, template: true, layouts: 2, ..Model::default() };
        let mut model = ready.clone();
        for op in ops {
            let mut after = model.clone();
            let expected = after.call(op);
            let before = world.catalog.clone();
            let done = world.call(call_of(&world, op)).map(drop).map_err(|refused| refused.code);
            prop_assert_eq!(done, expected, "{:?} in {:?}", op, model);
            match (expected, op) {
                (Err(_), _) => prop_assert_eq!(&world.catalog, &before, "{:?}", op),
                (Ok(()), Op::Delete) => (world, model) = (World::ready(), ready.clone()),
                (Ok(()), _) => model = after,
            }
            check_same(&world, &model);
        }
    }
}

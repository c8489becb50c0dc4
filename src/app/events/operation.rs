//! An operation as its event tells of it: the request, and the parts of the caster that it names.
//!
//! Must not know rules. Invariant: only well-formed identifiers are told.

use crate::api::events::About;
use crate::catalog::{Answer, Call, Subject, Written};
use crate::ids::{ComponentId, LayoutId, ResourceId, SceneId};

/// An operation.
#[derive(Clone, Debug)]
pub(in crate::app) struct Operation(About);

impl Operation {
    /// What a call asks for.
    pub(in crate::app) fn new(call: &Call, request_id: Option<String>) -> Operation {
        let (mut scene, mut layout, mut resource, mut component) = ("", "", "", "");
        match call {
            Call::ModifyCasterVideoResource { resource_id, .. }
            | Call::DeleteCasterVideoResource { resource_id, .. } => resource = resource_id,
            Call::EffectCasterVideoResource { scene_id, resource_id, .. } => {
                (scene, resource) = (scene_id, resource_id);
            }
            Call::ModifyCasterLayout { layout_id, .. }
            | Call::DeleteCasterLayout { layout_id, .. } => layout = layout_id,
            Call::ModifyCasterComponent { component_id, .. }
            | Call::DeleteCasterComponent { component_id, .. } => component = component_id,
            Call::SetCasterSceneConfig(draft) | Call::UpdateCasterSceneConfig(draft) => {
                (scene, layout) = (&draft.scene_id, &draft.layout_id);
            }
            Call::CopyCasterSceneConfig { to_scene_id, .. } => scene = to_scene_id,
            Call::DeleteCasterSceneConfig { scene_id, .. }
            | Call::StartCasterScene { scene_id, .. }
            | Call::StopCasterScene { scene_id, .. } => scene = scene_id,
            Call::UpdateCasterSceneAudio(draft) => scene = &draft.scene_id,
            // The others name the caster only, or something of theirs that there is not yet.
            _ => {}
        }
        Operation(About {
            request_id,
            scene: SceneId::parse(scene),
            layout: LayoutId::parse(layout),
            resource: ResourceId::parse(resource),
            component: ComponentId::parse(component),
            ..About::default()
        })
    }

    /// What it asks about.
    pub(super) fn asked(&self) -> &About {
        &self.0
    }

    /// The same with what the answer adds: what was made.
    pub(super) fn about(&self, answer: &Answer) -> About {
        let mut about = self.0.clone();
        if let Answer::Written(Written { subject, .. }) = answer {
            match subject {
                Subject::Resource(id) => about.resource = Some(id.clone()),
                Subject::Layout(id) => about.layout = Some(id.clone()),
                Subject::Component(id) => about.component = Some(id.clone()),
                Subject::Caster | Subject::Episodes(_) => {}
            }
        }
        about
    }
}

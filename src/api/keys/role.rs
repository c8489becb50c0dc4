//! Roles: what the bearer of a key may call.
//!
//! Must not know keys. Invariant: one table; a call that is not in it needs an admin.

use std::fmt;
use std::str::FromStr;

use crate::catalog::{Call, ErrorCode};

/// What a key is for; each may what the one before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Looks: `Describe…` and `WatchCaster`.
    Viewer,
    /// Runs the show: scenes, audio, channels, standby, rundown.
    Operator,
    /// Everything.
    Admin,
}

impl Role {
    /// Every role, the least first.
    pub const ALL: [Role; 3] = [Role::Viewer, Role::Operator, Role::Admin];

    /// Its name in files and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Admin => "admin",
        }
    }

    /// Whether its bearer may make this call.
    pub fn may(self, call: &Call) -> bool {
        self >= needed(call)
    }

    /// The code that a call is refused with when the role may not: the API has two, by operation.
    pub fn refusal(call: &Call) -> ErrorCode {
        match call {
            Call::StartCaster { .. }
            | Call::StopCaster { .. }
            | Call::RestartCaster { .. }
            | Call::StartCasterScene { .. }
            | Call::StopCasterScene { .. }
            | Call::DescribeCasterSceneAudio { .. }
            | Call::UpdateCasterSceneAudio(_)
            | Call::SetCasterChannel(_)
            | Call::DescribeCasterChannels { .. }
            | Call::AddCasterEpisode { .. }
            | Call::ModifyCasterEpisode { .. }
            | Call::DeleteCasterEpisode { .. }
            | Call::AddCasterProgram { .. }
            | Call::ModifyCasterProgram { .. }
            | Call::DeleteCasterProgram { .. }
            | Call::DescribeCasterProgram(_)
            | Call::AddCasterEpisodeGroup(_)
            | Call::DeleteCasterEpisodeGroup { .. } => ErrorCode::PermissionDenied,
            _ => ErrorCode::IllegalOperation,
        }
    }
}

/// The least role for a call.
fn needed(call: &Call) -> Role {
    match call {
        _ if call.is_read() => Role::Viewer,
        Call::SetCasterSceneConfig(_)
        | Call::UpdateCasterSceneConfig(_)
        | Call::CopyCasterSceneConfig { .. }
        | Call::DeleteCasterSceneConfig { .. }
        | Call::StartCasterScene { .. }
        | Call::StopCasterScene { .. }
        | Call::EffectCasterVideoResource { .. }
        | Call::UpdateCasterSceneAudio(_)
        | Call::SetCasterChannel(_)
        | Call::EffectCasterUrgent { .. }
        | Call::FadeCasterToBlack { .. }
        | Call::StartCasterRecording { .. }
        | Call::StopCasterRecording { .. }
        | Call::AddCasterEpisode { .. }
        | Call::ModifyCasterEpisode { .. }
        | Call::DeleteCasterEpisode { .. }
        | Call::AddCasterProgram { .. }
        | Call::ModifyCasterProgram { .. }
        | Call::DeleteCasterProgram { .. } => Role::Operator,
        _ => Role::Admin,
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Role, String> {
        let known = Role::ALL.into_iter().find(|role| role.as_str() == text);
        known.ok_or_else(|| format!("{text:?} is not one of admin, operator, viewer"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{
        AudioDraft, ChannelDraft, CreateCaster, GroupDraft, ProgramFilter, SceneDraft,
    };

    #[test]
    fn each_role_may_what_it_is_for() {
        let id = String::new;
        let take = Call::CopyCasterSceneConfig {
            caster_id: id(),
            from_scene_id: id(),
            to_scene_id: id(),
            when: Default::default(),
            way: Default::default(),
        };
        for (call, least) in [
            (Call::DescribeCasters(Default::default()), Role::Viewer),
            (Call::DescribeCasterConfig { caster_id: id() }, Role::Viewer),
            (Call::DescribeLayoutPresets, Role::Viewer),
            (Call::DescribeCasterStreamUrl { caster_id: id() }, Role::Viewer),
            (Call::DescribeCasterScenes { caster_id: id(), scene_id: id() }, Role::Viewer),
            (Call::DescribeCasterSceneAudio { caster_id: id(), scene_id: id() }, Role::Viewer),
            (Call::SetCasterSceneConfig(SceneDraft::default()), Role::Operator),
            (Call::UpdateCasterSceneConfig(SceneDraft::default()), Role::Operator),
            (Call::UpdateCasterSceneAudio(AudioDraft::default()), Role::Operator),
            (take, Role::Operator),
            (Call::StartCasterScene { caster_id: id(), scene_id: id() }, Role::Operator),
            (Call::StopCasterScene { caster_id: id(), scene_id: id() }, Role::Operator),
            (Call::DescribeCasterProgram(ProgramFilter::default()), Role::Viewer),
            (Call::DescribeCasterChannels { caster_id: id() }, Role::Viewer),
            (Call::DescribeCasterSyncGroup { caster_id: id() }, Role::Viewer),
            (Call::DescribeCasterRtcInfo { caster_id: id() }, Role::Viewer),
            (Call::SetCasterChannel(ChannelDraft::default()), Role::Operator),
            (Call::EffectCasterUrgent { caster_id: id(), scene_id: id() }, Role::Operator),
            (
                Call::FadeCasterToBlack { caster_id: id(), on: true, duration_frames: 0 },
                Role::Operator,
            ),
            (
                Call::AddCasterEpisode { caster_id: id(), episode: Default::default() },
                Role::Operator,
            ),
            (Call::ModifyCasterProgram { caster_id: id(), episodes: vec![] }, Role::Operator),
            (Call::DeleteCasterProgram { caster_id: id() }, Role::Operator),
            (Call::AddCasterEpisodeGroup(GroupDraft::default()), Role::Admin),
            (Call::DeleteCasterEpisodeGroup { program_id: id() }, Role::Admin),
            (Call::SetCasterSyncGroup { caster_id: id(), sync_groups: vec![] }, Role::Admin),
            (Call::RestartCaster { caster_id: id() }, Role::Admin),
            (Call::CreateCaster(CreateCaster::default()), Role::Admin),
            (Call::DeleteCaster { caster_id: id() }, Role::Admin),
            (Call::StartCaster { caster_id: id() }, Role::Admin),
            (Call::StopCaster { caster_id: id() }, Role::Admin),
            (Call::StartCasterRecording { caster_id: id() }, Role::Operator),
            (Call::StopCasterRecording { caster_id: id() }, Role::Operator),
            (Call::AddCasterLayout { caster_id: id(), draft: Default::default() }, Role::Admin),
            (Call::DeleteCasterLayout { caster_id: id(), layout_id: id() }, Role::Admin),
        ] {
            for role in Role::ALL {
                assert_eq!(role.may(&call), role >= least, "{role}: {call:?}");
            }
        }
    }

    #[test]
    fn roles_are_read_as_they_are_written() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
        }
        for text in ["", "Admin", "root", "viewer "] {
            assert!(text.parse::<Role>().is_err(), "{text:?}");
        }
    }
}

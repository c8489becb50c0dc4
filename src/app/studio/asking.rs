//! Whether a show is recorded, where the receiver of its callbacks is to say so (`OnDemand` 1).
//!
//! Must not know the wire (`api::record_answer`). Invariants: each show's receiver is asked by one at a time; who says nothing
//! is told of once and asked again; until then nothing is recorded.

use std::sync::Arc;

use super::{Place, Studio, lock};
use crate::api::events::EventCode;
use crate::api::record_answer;
use crate::app::outputs;
use crate::catalog::{Call, Caster, RecordAnswer};
use crate::ids::Bus;
use crate::input::{fetch_small, redact};
use crate::limits;
use crate::worker::StopToken;

/// A question that is open.
#[derive(Debug, Default)]
pub(super) struct Question {
    is_under_way: bool,
    /// Attempts without an answer.
    failed: u32,
    /// When it is asked next, on the process's clock, ns.
    due_ns: u64,
}

impl Studio {
    /// Asks whether a show is recorded when that is to be asked.
    pub(super) fn follow_question(self: &Arc<Self>, place: &Arc<Place>, caster: &Arc<Caster>) {
        let Some(callback) = caster.record_question() else {
            *lock(&place.question) = Question::default();
            return;
        };
        let mut question = lock(&place.question);
        if question.is_under_way || self.world.clock.now_ns() < question.due_ns {
            return;
        }
        question.is_under_way = true;
        let callback = callback.to_owned();
        let (studio, place, caster) = (Arc::clone(self), Arc::clone(place), Arc::clone(caster));
        tokio::spawn(async move {
            let answered = match studio.ask(&callback, &caster).await {
                Ok(answer) => {
                    let caster_id = caster.id.to_string();
                    let call = Call::AnswerCasterRecording { caster_id, answer };
                    let carried_out = studio.call(call, None, None).await;
                    carried_out.map(drop).map_err(|refused| refused.to_string())
                }
                Err(why) => Err(why),
            };
            studio.settle_question(&place, (&caster, &callback), answered);
        });
    }

    async fn ask(&self, callback: &str, caster: &Caster) -> Result<RecordAnswer, String> {
        let video = outputs::video(&self.world, caster).map_err(|refused| refused.to_string())?;
        let name = caster.scene(Bus::Pgm).map_or("", |scene| scene.stream_name.as_str());
        let domain = caster.config.domain.as_deref().unwrap_or_default();
        let coded = (video.bitrate_bps, video.codec);
        let url = record_answer::question(callback, (domain, name), coded)?;
        let allow = Arc::clone(&self.world.allow);
        let fetched = tokio::task::spawn_blocking(move || {
            let limits = (limits::RECORD_ANSWER_BYTES, limits::RECORD_ASK_TIMEOUT);
            fetch_small(&url, limits, &allow, &StopToken::new()).map_err(|error| error.to_string())
        });
        record_answer::parse(&fetched.await.map_err(|error| error.to_string())??)
    }

    fn settle_question(
        &self,
        place: &Place,
        (caster, callback): (&Caster, &str),
        answered: Result<(), String>,
    ) {
        let mut question = lock(&place.question);
        question.is_under_way = false;
        let Err(why) = answered else { return };
        question.failed = question.failed.saturating_add(1);
        let pause = match question.failed < limits::RECORD_ASKS {
            true => limits::RECORD_ASK_PAUSE,
            false => limits::RECORD_ASK_REST,
        };
        let pause_ns = u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX);
        question.due_ns = self.world.clock.now_ns() + pause_ns;
        if question.failed == limits::RECORD_ASKS {
            let whom = redact(callback);
            let message = format!("{whom} does not say whether to record: {why}");
            tracing::warn!(caster = %caster.id, "{message}");
            self.events.trouble(caster, EventCode::RecordFailed, message);
        }
    }
}

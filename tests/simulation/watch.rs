//! Looks at every plan and compares it with what was sent and asked for.

use std::collections::{BTreeMap, BTreeSet};

use onair::engine::{AudioFilter, Black, Engine, Event, InputKind, Plan, ValidChannel};
use onair::ids::{Bus, InputKey};
use onair::limits;
use onair::picture::compose;
use onair::time::FrameRate;

use crate::CANVAS;
use crate::air::inputs;
use crate::operator::Operator;
use crate::source::{LEVEL, MS, ROUND_NS, S, Sent, Source, time_heard};

/// Largest distance of sound and picture.
const LIPS_NS: i64 = 20 * MS;
/// How much early a frame may be shown: the engine's allowance of 1 ms, and what rounding leaves uneven.
const EARLY_NS: i64 = MS + UNEVEN_NS;
/// Half of what timestamps are rounded to.
const UNEVEN_NS: i64 = MS / 2;

/// What was seen of one input.
#[derive(Default)]
struct Seen {
    last: Option<Sent>,
    /// Ticks in a row with the same picture.
    still: u64,
    /// Paced: the ticks that it may have played; pauses show only when it was due to move.
    played: Option<(i64, i64)>,
}

/// Everything that was seen.
pub(crate) struct Watch {
    rate: FrameRate,
    pub(crate) seed: u64,
    seen: BTreeMap<InputKey, Seen>,
    /// Inputs whose anchor was moved although nothing disturbed them any more: for which disturbance, and when.
    mended: BTreeMap<InputKey, (i64, i64)>,
    /// Members of sync groups, and inputs whose group's clock was changed not long ago.
    members: BTreeSet<InputKey>,
    changed: BTreeSet<InputKey>,
    /// Inputs that stand still at this tick.
    stands: BTreeSet<InputKey>,
    /// How often each check had something to check.
    lips: u64,
    ages: u64,
    cadences: u64,
    pauses: u64,
    companies: u64,
}

impl Watch {
    pub(crate) fn new(rate: FrameRate, seed: u64) -> Watch {
        Watch {
            rate,
            seed,
            seen: BTreeMap::new(),
            mended: BTreeMap::new(),
            members: BTreeSet::new(),
            changed: BTreeSet::new(),
            stands: BTreeSet::new(),
            lips: 0,
            ages: 0,
            cadences: 0,
            pauses: 0,
            companies: 0,
        }
    }

    /// A run that checked nothing proves nothing.
    pub(crate) fn report(&self) {
        let checked = (self.lips, self.ages, self.cadences, self.pauses, self.companies);
        println!("seed {}: {checked:?} checks of lips, age, cadence, pauses and groups", self.seed);
        assert!(self.lips + self.ages + self.cadences > 1000, "seed {}: {checked:?}", self.seed);
    }

    pub(crate) fn look(
        &mut self,
        plan: &Plan,
        engine: &Engine,
        operator: &Operator,
        sources: &[Source],
    ) {
        let at = self.at(plan);
        let (books, n) = (&operator.books, plan.tick);
        let which = |wanted: &dyn Fn(InputKey) -> bool| -> BTreeSet<InputKey> {
            sources.iter().map(|source| source.key).filter(|key| wanted(*key)).collect()
        };
        let felt = self.rate.tick_at((limits::SYNC_MAX.as_nanos() as i64 + 4 * S) as u64);
        self.members = which(&|key| books.is_member(key));
        self.changed = which(&|key| books.unchanged_for(key, n) < felt);
        self.stands = which(&|key| books.stands(key, n));
        self.sound_is_whole(&at, plan);
        self.preview_is_by_the_books(&at, plan, operator);
        for source in sources {
            let stats = engine.input_stats(source.key);
            let grouped = self.is_grouped(source.key);
            let frames = if grouped { limits::SYNC_FRAMES } else { limits::TIMELINE_FRAMES };
            let samples = if grouped { limits::SYNC_SAMPLES } else { limits::TIMELINE_SAMPLES };
            assert!(stats.frames <= frames && stats.samples <= samples, "{at}: {stats:?}");
            let stood = books.stands(source.key, n + 1);
            assert_eq!(stats.playing, !stood, "{at}: {stats:?}");
            self.mended(&at, plan, source);
            let shown = plan.frames.iter().find(|(key, _)| *key == source.key);
            match shown {
                Some((_, frame)) => self.picture(&at, plan, source, frame.pts_ns),
                None => {
                    self.seen.remove(&source.key);
                }
            }
        }
        self.companies(&at, plan, operator, sources);
        self.lips(plan, engine, operator, sources);
    }

    fn is_grouped(&self, key: InputKey) -> bool {
        self.members.contains(&key) || self.changed.contains(&key)
    }

    /// Members of a group that have joined show equal timestamps, but for the frame that is not yet over.
    fn companies(&mut self, at: &str, plan: &Plan, operator: &Operator, sources: &[Source]) {
        let now_ns = self.rate.tick_ns(plan.tick) as i64;
        for company in operator.books.companies() {
            let shown = |key: &InputKey| {
                let source = sources.iter().find(|source| source.key == *key)?;
                let (_, frame) = plan.frames.iter().find(|(frame, _)| frame == key)?;
                let steady = self.is_steady(source, now_ns);
                steady.then_some((frame.pts_ns, source.period_ns))
            };
            let shown: Vec<_> = company.iter().filter_map(shown).collect();
            for pair in shown.windows(2) {
                let apart_ns = (pair[0].0 - pair[1].0).abs();
                let fine = apart_ns <= pair[0].1.max(pair[1].1) + 2 * MS;
                assert!(fine, "{at}: {company:?} are {apart_ns} ns apart");
                self.companies += 1;
            }
        }
    }

    /// Where we are, for messages.
    fn at(&self, plan: &Plan) -> String {
        format!("seed {} tick {}", self.seed, plan.tick)
    }

    fn sound_is_whole(&self, at: &str, plan: &Plan) {
        assert_eq!(plan.audio.len(), self.rate.samples_in(plan.tick), "{at}");
        // Not a number fails this, too.
        let fine = plan.audio.iter().all(|s| s[0].abs() <= 1.0 && s[1].abs() <= 1.0);
        assert!(fine, "{at}: a sample beyond ±1");
    }

    fn preview_is_by_the_books(&self, at: &str, plan: &Plan, operator: &Operator) {
        let size = |key| {
            let frame = plan.frames.iter().find(|(frame, _)| *frame == key);
            frame.map(|(_, frame)| frame.picture.size())
        };
        assert_eq!(plan.pvw, compose(&operator.pvw, &size, CANVAS, 0), "{at}");
        assert_eq!(plan.tally.pvw, inputs(&plan.pvw), "{at}");
    }

    /// A disturbance may leave less in store than is good, or just enough: that is mended once, late, and not again.
    fn mended(&mut self, at: &str, plan: &Plan, source: &Source) {
        let now_ns = self.rate.tick_ns(plan.tick) as i64;
        let told = |event: &Event| matches!(event, Event::Reanchored { input, .. } if *input == source.key);
        let live = matches!(source.kind, InputKind::Live { .. }) && !self.is_grouped(source.key);
        if live && source.is_steady(now_ns) && plan.events.iter().any(told) {
            let before = self.mended.insert(source.key, (source.rough_until_ns, now_ns));
            let again = before.is_some_and(|(rough, _)| rough == source.rough_until_ns);
            assert!(!again, "{at}: {} is anchored anew again and again, {source:?}", source.key);
        }
    }

    /// Whether an input has to play perfectly now.
    fn is_steady(&self, source: &Source, now_ns: i64) -> bool {
        let mended = self.mended.get(&source.key).is_some_and(|(_, at)| now_ns < at + 2 * S);
        // What disturbs a source is seen when its frames are, which on the clock of a group is later.
        let later_ns =
            if self.is_grouped(source.key) { limits::SYNC_MAX.as_nanos() as i64 } else { 0 };
        source.is_steady(now_ns - later_ns) && !mended && !self.changed.contains(&source.key)
    }

    /// The picture that an input shows.
    fn picture(&mut self, at: &str, plan: &Plan, source: &Source, pts_ns: i64) {
        let now_ns = self.rate.tick_ns(plan.tick) as i64;
        let steady = self.is_steady(source, now_ns);
        let more = if self.is_grouped(source.key) { limits::SYNC_MAX.as_nanos() as i64 } else { 0 };
        let seen = self.seen.entry(source.key).or_default();
        let sent = source.find(pts_ns, seen.last);
        let sent = sent.unwrap_or_else(|| panic!("{at}: {pts_ns} was never sent, {source:?}"));
        let before = seen.last.map_or(-1, |last| last.index);
        assert!(sent.index >= before, "{at}: {} goes back to {}", source.key, sent.index);
        seen.still = if sent.index == before { seen.still + 1 } else { 0 };
        seen.last = Some(sent);
        let tick_ns = self.rate.frame_ns() as i64;
        match source.kind {
            InputKind::Still => {}
            InputKind::Paced if self.stands.contains(&source.key) => {
                self.pauses += 1;
                let same = before == -1 || sent.index == before;
                assert!(same, "{at}: {} moves from {before} to {}", source.key, sent.index);
                if sent.index == 0 {
                    // It may have shown its first frame without having begun.
                    seen.played = None;
                }
            }
            InputKind::Paced => {
                self.cadences += 1;
                check_cadence(at, seen, (before, sent), (source, self.rate, !steady));
            }
            InputKind::Live { buffer } if steady => {
                self.ages += 1;
                let fits = limits::TIMELINE_FRAMES as i64 * source.period_ns - 100 * MS;
                let depth = (buffer.as_nanos() as i64).min(fits).max(2 * tick_ns);
                let way = source.delay_ns + source.jitter_ns;
                let oldest = depth + way + more + 200 * MS + source.period_ns + 2 * tick_ns;
                let age = now_ns - sent.made_ns;
                assert!(age <= oldest, "{at}: {} is {} ms old", source.key, age / MS);
                let still_ns = seen.still as i64 * tick_ns;
                let longest = source.period_ns + 2 * tick_ns;
                assert!(still_ns <= longest, "{at}: {} stands for {still_ns} ns", source.key);
            }
            InputKind::Live { .. } => {}
        }
    }

    /// Sound against picture, where exactly one input sounds as it is.
    fn lips(&mut self, plan: &Plan, engine: &Engine, operator: &Operator, sources: &[Source]) {
        let now_ns = self.rate.tick_ns(plan.tick) as i64;
        let [entry] = engine.mix(Bus::Pgm) else { return };
        if plan.tally.black != Black::Off {
            return;
        }
        let since = now_ns - self.rate.tick_ns(operator.mixed_at) as i64;
        let plain = (entry.gain, entry.delay_ms) == (1.0, 0)
            && entry.channel == ValidChannel::All
            && entry.filter == AudioFilter::default();
        let Some(source) = sources.iter().find(|source| source.key == entry.input) else { return };
        let moves = source.kind != InputKind::Still && source.has_sound();
        if !plain || !moves || since < 3 * S || !self.is_steady(source, now_ns) {
            return;
        }
        let at = self.at(plan);
        let moving_for = operator.books.moving_for(source.key, plan.tick);
        if self.stands.contains(&source.key) {
            let silent = moving_for < 4 || plan.audio.iter().all(|s| *s == [0.0; 2]);
            assert!(silent, "{at}: {} sounds while it stands", source.key);
            return;
        }
        if moving_for < 8 {
            return;
        }
        let hole = plan.audio.iter().position(|s| s[1] != LEVEL);
        assert!(
            hole.is_none(),
            "{at}: {} has a hole in its sound at sample {hole:?} ({:?}), {:?}, {source:?}",
            source.key,
            hole.map(|k| plan.audio[k]),
            engine.input_stats(source.key)
        );
        let Some(sent) = self.seen.get(&source.key).and_then(|seen| seen.last) else { return };
        self.lips += 1;
        let picture = sent.index * source.period_ns;
        let distance = time_heard(&plan.audio) - picture;
        let distance = (distance + ROUND_NS / 2).rem_euclid(ROUND_NS) - ROUND_NS / 2;
        // The picture shown is that of the last period.
        let fine = (-LIPS_NS..=source.period_ns + LIPS_NS).contains(&distance);
        assert!(fine, "{at}: {} sounds {} ms after its picture", source.key, distance / MS);
    }
}

/// Every frame of a file is shown when the cadence demands it, but for pauses while it had nothing to play.
fn check_cadence(
    at: &str,
    seen: &mut Seen,
    (before, sent): (i64, Sent),
    (source, rate, starved): (&Source, FrameRate, bool),
) {
    let (slack, next_ns) =
        (if source.rounded { UNEVEN_NS } else { 10_000 }, sent.made_ns + source.period_ns);
    let fits = |ticks: i64| {
        let now_ns = rate.tick_ns(ticks as u64) as i64;
        sent.made_ns <= now_ns + EARLY_NS && now_ns < next_ns + slack
    };
    let Some((low, high)) = seen.played else {
        // Seen for the first time, at whatever point of the file.
        let first = rate.tick_at(sent.made_ns.max(0) as u64) as i64;
        let all = (first - 2).max(0)..first + 2 + source.period_ns / rate.frame_ns() as i64;
        let fitting: Vec<_> = all.filter(|ticks| fits(*ticks)).collect();
        seen.played = fitting.first().copied().zip(fitting.last().copied());
        assert!(seen.played.is_some(), "{at}: {} has {sent:?} at no tick", source.key);
        return;
    };
    let range = if starved { low..=high + 1 } else { low + 1..=high + 1 };
    let (first, last) = (range.clone().find(|t| fits(*t)), range.rev().find(|t| fits(*t)));
    seen.played = first.zip(last);
    assert!(
        seen.played.is_some(),
        "{at}: {sent:?} after {before}, having played {low}..={high} ticks, {source:?}"
    );
}

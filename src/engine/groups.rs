//! Sync groups: live inputs that are shown on one clock, so that equal timestamps appear on the same tick.
//!
//! Must not know how an input keeps its own clock. Invariants: one member leads and keeps its own clock, those that have
//! joined go by it; nobody joins a clock that its buffer could not keep up with.

use std::collections::BTreeMap;

use super::input::Input;
use super::live::{Live, Standing};
use super::media::Tick;
use super::{Apart, Event, SyncGroup, SyncMode};
use crate::ids::InputKey;
use crate::limits;

const MAX_NS: i64 = limits::SYNC_MAX.as_nanos() as i64;
const SETTLE_NS: i64 = limits::SYNC_SETTLE.as_nanos() as i64;
/// A leader whose clock falls back by more has been anchored anew: others may need more now.
const FALL_NS: i64 = 20_000_000;

/// All sync groups of a caster.
#[derive(Debug, Default)]
pub(super) struct Groups {
    groups: Vec<Group>,
}

#[derive(Debug)]
struct Group {
    spec: SyncGroup,
    members: Vec<Member>,
    /// Who leads, and its offset at the last tick, ns.
    leader: Option<(InputKey, i64)>,
}

#[derive(Debug)]
struct Member {
    key: InputKey,
    joined: bool,
    /// Since when it has a clock, or left the group's.
    since_ns: Option<i64>,
    /// Why it is not in, as last told.
    told: Option<Apart>,
}

/// Who leads at what offset.
type Choice = (usize, i64);

impl SyncGroup {
    /// All inputs that it names, the host first.
    pub(super) fn inputs(&self) -> impl Iterator<Item = InputKey> {
        let host = match self.mode {
            SyncMode::Host(host) => Some(host),
            SyncMode::Mutual => None,
        };
        host.into_iter().chain(self.members.iter().copied())
    }
}

impl Groups {
    /// Replaces the groups. Those that stay as they are keep their clocks. Of several groups that name an input the first
    /// has it.
    pub(super) fn set(&mut self, specs: Vec<SyncGroup>, inputs: &mut BTreeMap<InputKey, Input>) {
        let mut before = std::mem::take(&mut self.groups);
        let mut taken: Vec<InputKey> = Vec::new();
        for spec in specs {
            let kept = before.iter().position(|group| group.spec == spec);
            let mut group = kept.map_or_else(|| Group::new(spec), |at| before.swap_remove(at));
            group.members.retain(|member| !taken.contains(&member.key));
            taken.extend(group.members.iter().map(|member| member.key));
            self.groups.push(group);
        }
        for member in before.into_iter().flat_map(|group| group.members) {
            if let Some(live) = live(inputs, member.key).filter(|_| member.joined) {
                live.release();
            }
        }
    }

    /// The input is gone.
    pub(super) fn forget(&mut self, input: InputKey) {
        for group in &mut self.groups {
            group.members.retain(|member| member.key != input);
        }
    }

    /// Puts everybody on the clock of their group for this tick.
    pub(super) fn align(
        &mut self,
        inputs: &mut BTreeMap<InputKey, Input>,
        at: &Tick,
    ) -> Vec<Event> {
        let mut events = Vec::new();
        for group in &mut self.groups {
            group.align(inputs, at, &mut events);
        }
        events
    }
}

fn live(inputs: &mut BTreeMap<InputKey, Input>, key: InputKey) -> Option<&mut Live> {
    inputs.get_mut(&key)?.live()
}

impl Group {
    fn new(spec: SyncGroup) -> Group {
        let mut keys: Vec<InputKey> = Vec::new();
        for key in spec.inputs() {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        let member = |key| Member { key, joined: false, since_ns: None, told: None };
        Group { members: keys.into_iter().map(member).collect(), spec, leader: None }
    }

    fn align(
        &mut self,
        inputs: &mut BTreeMap<InputKey, Input>,
        at: &Tick,
        events: &mut Vec<Event>,
    ) {
        let mut standings = Vec::with_capacity(self.members.len());
        for member in &mut self.members {
            let standing = live(inputs, member.key).and_then(|live| live.standing(at));
            match standing {
                Some(_) => _ = member.since_ns.get_or_insert(at.now_ns),
                None => member.since_ns = None,
            }
            standings.push(standing);
        }
        let candidates = self.members.iter().zip(&standings);
        let count = candidates.filter(|(m, standing)| standing.is_some() && m.may_lead(at)).count();
        let choice = self.choose(&standings, at);
        self.leader = None;
        let mut clock = None;
        if let Some((index, offset_ns)) = choice
            && let Some(live) = live(inputs, self.members[index].key)
        {
            let by_ns = live.lead(offset_ns);
            clock = live.clock();
            self.leader = Some((self.members[index].key, clock.map_or(offset_ns, |c| c.offset_ns)));
            self.members[index].join(by_ns, events);
        }
        for (index, standing) in standings.iter().enumerate() {
            if choice.is_some_and(|(leader, _)| leader == index) {
                continue;
            }
            let member = &mut self.members[index];
            let Some(live) = live(inputs, member.key) else { continue };
            let fits = match (standing, clock) {
                (None, _) => Err(Apart::NoVideo),
                (Some(_), None) => Err(Apart::TooFar),
                (Some(standing), Some(clock)) => standing.fits(clock.offset_ns, member.joined()),
            };
            match (fits, clock) {
                (Ok(()), Some(clock)) if member.joined || member.is_settled(at) => {
                    let by_ns = live.follow(clock, member.joined());
                    member.join(by_ns, events);
                }
                (Err(cause), _) => {
                    if member.joined {
                        live.release();
                    }
                    // A host that is still to come is no reason to be apart from it.
                    let others =
                        clock.is_some() || (count > 1 && self.spec.mode == SyncMode::Mutual);
                    let company = if others { Company::Others } else { Company::Alone };
                    member.leave((cause, company), at, events);
                }
                _ => {}
            }
        }
    }

    /// Who leads from this tick on, and at which offset.
    fn choose(&self, standings: &[Option<Standing>], at: &Tick) -> Option<Choice> {
        if let SyncMode::Host(key) = self.spec.mode {
            let index = self.members.iter().position(|member| member.key == key)?;
            let host = standings[index].as_ref().filter(|_| self.members[index].may_lead(at))?;
            return Some((index, host.offset_ns));
        }
        let before = self.leader.and_then(|(key, offset_ns)| {
            let index = self.members.iter().position(|member| member.key == key)?;
            Some((index, offset_ns, standings[index].as_ref()?.offset_ns))
        });
        let mut wishes: Vec<(i64, usize)> = Vec::new();
        for (index, (member, standing)) in self.members.iter().zip(standings).enumerate() {
            let Some(standing) = standing.as_ref().filter(|_| member.may_lead(at)) else {
                continue;
            };
            let wish_ns = match before {
                Some((leader, was_ns, now_ns)) if member.joined && leader != index => {
                    let fell = now_ns < was_ns - FALL_NS;
                    // Who keeps up with the clock as it is has no wish to change it.
                    let most_ns = if fell { was_ns } else { now_ns - 1 };
                    let patient = standing.natural_ns.min(most_ns);
                    if standing.strained { standing.natural_ns } else { patient }
                }
                _ => standing.offset_ns,
            };
            wishes.push((wish_ns, index));
        }
        largest_company(wishes, before.map(|(leader, ..)| leader))
    }
}

/// The most delayed of the largest set whose wishes lie within [`limits::SYNC_MAX`]; of equally large ones that of the
/// present leader, else the least delayed. Nobody, when that would be alone.
fn largest_company(mut wishes: Vec<(i64, usize)>, leader: Option<usize>) -> Option<Choice> {
    wishes.sort_unstable();
    let mut best: Option<(usize, bool, Choice)> = None;
    for (start, (low_ns, _)) in wishes.iter().enumerate() {
        let company: Vec<_> =
            wishes[start..].iter().take_while(|(wish, _)| wish - low_ns <= MAX_NS).collect();
        let Some(&&(offset_ns, index)) = company.last() else { continue };
        let leads = company.iter().any(|(_, index)| Some(*index) == leader);
        let better = best.is_none_or(|(size, led, _)| (company.len(), leads) > (size, led));
        if company.len() > 1 && better {
            best = Some((company.len(), leads, (index, offset_ns)));
        }
    }
    best.map(|(_, _, choice)| choice)
}

impl Member {
    fn is_settled(&self, at: &Tick) -> bool {
        self.since_ns.is_some_and(|since| at.now_ns - since >= SETTLE_NS)
    }

    fn may_lead(&self, at: &Tick) -> bool {
        self.joined || self.is_settled(at)
    }

    fn joined(&self) -> Joined {
        if self.joined { Joined::Yes } else { Joined::No }
    }

    fn join(&mut self, by_ns: i64, events: &mut Vec<Event>) {
        self.told = None;
        if !std::mem::replace(&mut self.joined, true) {
            events.push(Event::Synced { input: self.key, by_ns });
        }
    }

    fn leave(&mut self, (cause, company): (Apart, Company), at: &Tick, events: &mut Vec<Event>) {
        let was_in = std::mem::replace(&mut self.joined, false);
        // One that has only just come, or never came, or from which nobody could be apart, is not.
        let is_apart = self.is_settled(at) && company == Company::Others;
        let tells = was_in || (is_apart && self.told != Some(cause));
        if was_in {
            self.since_ns = Some(at.now_ns);
        }
        if tells {
            self.told = Some(cause);
            events.push(Event::Unsynced { input: self.key, cause });
        }
    }
}

/// Whether there are others that a member could be on one clock with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Company {
    Others,
    Alone,
}

/// Whether a member goes by the clock of its group already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joined {
    Yes,
    No,
}

impl Standing {
    /// Whether it could go by a clock with this offset.
    fn fits(&self, offset_ns: i64, joined: Joined) -> Result<(), Apart> {
        let more_ns = offset_ns - self.natural_ns;
        let late = match joined {
            Joined::Yes => self.strained,
            // With more in store than what would have it leave again.
            Joined::No => more_ns < -self.target_ns / 4,
        };
        if more_ns.abs() > MAX_NS {
            Err(Apart::TooFar)
        } else if late {
            Err(Apart::TooLate)
        } else if more_ns > self.most_ns || self.overfull {
            Err(Apart::TooLarge)
        } else {
            Ok(())
        }
    }
}

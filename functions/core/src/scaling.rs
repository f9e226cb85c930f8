//! What scales a slot by itself, and what a release takes from it until it has ended.
//!
//! A candidate at 1 % looks idle and would scale in before its step at 95 %; a stable slot at 5 % would before a
//! rollback. So neither scales in from before the first shift until the release has ended, and the slot that may be
//! rolled back to not before its retirement. Both may scale out all the time.
//!
//! - An ECS service: the scalable target's dynamic scale-in is suspended. Scheduled actions are people's own wish, and stay
//!   (<https://docs.aws.amazon.com/autoscaling/application/userguide/application-auto-scaling-suspend-resume-scaling.html>).
//! - An Auto Scaling group: its least size is raised to what it has, which is a floor that no scaling policy goes below;
//!   and it is not rebalanced between zones, which would exchange instances while they are compared. Suspending the
//!   process `AlarmNotification` would stop scaling out as well, and `Terminate` would keep unhealthy instances from
//!   being replaced
//!   (<https://docs.aws.amazon.com/autoscaling/ec2/userguide/understand-how-suspending-processes-affects-other-processes.html>);
//!   and with every instance protected from scale-in the desired capacity sinks all the same, so that all go at once when
//!   the protection ends, and nothing scales out before it has grown again
//!   (<https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-instance-protection.html>).

use serde::{Deserialize, Serialize};

use crate::compute::{GroupChange, GroupState, wanted_capacity};
use crate::definition::{AutoScalingGroupName, Compute, EcsService};

/// The Auto Scaling process that moves instances between zones.
pub const REBALANCING: &str = "AZRebalance";

/// Seconds after a release until what it took from the slot that serves is given back, if its rollback window lasts as
/// long: scaling policies look at minutes that are over, in which this slot may have had little traffic, and act at once
/// when they may again.
pub const GIVE_BACK_AFTER_SECONDS: u32 = 300;

/// What a release takes from the scaling of a slot's compute, as it was before.
///
/// What an earlier release has not given back yet is carried over: what is found then is that release's doing.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scaling {
    /// An ECS service whose scalable target scaled in.
    EcsService(EcsService),
    /// An Auto Scaling group.
    AutoScalingGroup(ScalingGroup),
}

/// The sizes and processes of an Auto Scaling group that a release changes.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ScalingGroup {
    /// The group's name.
    pub name: AutoScalingGroupName,
    /// The least size that it is to have again; the candidate's is the stable group's, whose place it takes, or its own in
    /// a first deployment.
    pub min: u32,
    /// The least size during the release.
    pub floor: u32,
    /// The floor of an earlier release that was in force at planning, where it is another one: until this release has set
    /// its own, that is what is to be taken away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<u32>,
    /// Whether it was rebalanced between zones.
    pub rebalanced: bool,
}

impl Scaling {
    /// Whether it is of this compute.
    #[must_use]
    pub fn is_of(&self, compute: &Compute) -> bool {
        match (self, compute) {
            (Self::EcsService(own), Compute::EcsService(other)) => {
                own.cluster == other.cluster && own.service == other.service
            }
            (Self::AutoScalingGroup(own), Compute::AutoScalingGroup(other)) => own.name == other.name,
            _ => false,
        }
    }

    /// An ECS service: `suspended` tells whether its scale-in is, and is `None` where nothing scales it.
    ///
    /// Where people have suspended it themselves there is nothing to take, and nothing to give back.
    #[must_use]
    pub fn of_service(service: &EcsService, suspended: Option<bool>, owed: &[Self]) -> Option<Self> {
        let own = Self::EcsService(EcsService { container: None, ..service.clone() });
        (suspended == Some(false) || (suspended == Some(true) && owed.contains(&own))).then_some(own)
    }

    /// The two groups of a release, the stable one first.
    #[must_use]
    pub fn of_groups(groups: [(&AutoScalingGroupName, &GroupState); 2], owed: &[Self]) -> [Self; 2] {
        let [(stable, serving), (candidate, state)] = groups;
        let owed = |name: &AutoScalingGroupName| {
            owed.iter().find_map(|owed| match owed {
                Self::AutoScalingGroup(group) if group.name == *name => Some(group),
                _ => None,
            })
        };
        let rebalanced = |name: &AutoScalingGroupName, state: &GroupState| {
            !state.is_suspended(REBALANCING) || owed(name).is_some_and(|group| group.rebalanced)
        };
        let in_force =
            |name: &AutoScalingGroupName, state: &GroupState| owed(name).filter(|group| group.is_in_force(state));
        let own = |name: &AutoScalingGroupName, state: &GroupState| in_force(name, state).map_or(state.min, |g| g.min);
        let entry = |name: &AutoScalingGroupName, state: &GroupState, min: u32, floor: u32| {
            let floor = floor.max(min);
            let held = in_force(name, state).map(|_| state.min).filter(|held| *held != floor);
            let rebalanced = rebalanced(name, state);
            Self::AutoScalingGroup(ScalingGroup { name: name.clone(), min, floor, held, rebalanced })
        };
        let desired = wanted_capacity(serving.desired, state.desired);
        // Without anything that serves, nobody's place is taken.
        let least = if serving.desired > 0 { own(stable, serving) } else { own(candidate, state) };
        [
            entry(stable, serving, own(stable, serving), serving.desired),
            entry(candidate, state, least.min(desired), desired),
        ]
    }

    /// The least size of a group during the release; nothing for ECS services, which have none.
    #[must_use]
    pub fn floor(&self) -> Option<u32> {
        match self {
            Self::EcsService(_) => None,
            Self::AutoScalingGroup(group) => Some(group.floor),
        }
    }
}

impl ScalingGroup {
    /// Whether the group's least size is a release's doing, and not somebody's own.
    fn is_in_force(&self, state: &GroupState) -> bool {
        state.min == self.floor || self.held == Some(state.min)
    }

    /// What raises the group's floor, unless it is there; nothing where somebody has set a smaller most.
    #[must_use]
    pub fn raised(&self, state: &GroupState) -> Option<GroupChange> {
        (state.min < self.floor && self.floor <= state.max)
            .then(|| GroupChange { min: Some(self.floor), ..GroupChange::default() })
    }

    /// What takes the floor away; nothing where somebody has set another least size since, who knows better.
    #[must_use]
    pub fn lowered(&self, state: &GroupState) -> Option<GroupChange> {
        (self.is_in_force(state) && self.min < state.min)
            .then(|| GroupChange { min: Some(self.min), ..GroupChange::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> AutoScalingGroupName {
        AutoScalingGroupName::parse(name).unwrap()
    }

    fn group(min: u32, desired: u32) -> GroupState {
        GroupState { min, max: 20, desired, ..GroupState::default() }
    }

    fn entry(of: &str, min: u32, floor: u32, rebalanced: bool) -> Scaling {
        Scaling::AutoScalingGroup(ScalingGroup { name: name(of), min, floor, held: None, rebalanced })
    }

    fn holding(entry: Scaling, held: u32) -> Scaling {
        let Scaling::AutoScalingGroup(group) = entry else { return entry };
        Scaling::AutoScalingGroup(ScalingGroup { held: Some(held), ..group })
    }

    #[test]
    fn groups_are_held_at_what_they_have() {
        let (blue, green) = (name("blue"), name("green"));
        let of = |serving: &GroupState, state: &GroupState, owed: &[Scaling]| {
            Scaling::of_groups([(&blue, serving), (&green, state)], owed)
        };
        assert_eq!(
            of(&group(2, 10), &group(0, 0), &[]),
            [entry("blue", 2, 10, true), entry("green", 2, 10, true)],
            "the candidate takes the stable group's place"
        );
        let suspended = GroupState { suspended: vec![REBALANCING.into()], ..group(3, 3) };
        assert_eq!(of(&suspended, &group(1, 5), &[]), [entry("blue", 3, 3, false), entry("green", 3, 3, true)]);
        assert_eq!(of(&group(0, 0), &group(1, 2), &[]), [entry("blue", 0, 0, true), entry("green", 1, 2, true)]);

        // An earlier release has not given back yet.
        let owed = [entry("blue", 2, 10, true), entry("green", 2, 10, true)];
        let held = GroupState { suspended: vec![REBALANCING.into()], ..group(10, 12) };
        let again = ["blue", "green"].map(|name| holding(entry(name, 2, 12, true), 10));
        assert_eq!(of(&held, &held, &owed), again);
        let third = GroupState { desired: 13, ..held.clone() };
        let thrice = ["blue", "green"].map(|name| holding(entry(name, 2, 13, true), 10));
        assert_eq!(of(&third, &third, &again), thrice, "the second has raised nothing");
        let set_since = GroupState { min: 4, ..held.clone() };
        assert_eq!(of(&set_since, &held, &owed)[0], entry("blue", 4, 12, true), "by somebody else");
    }

    /// A second release that ends before it raises anything leaves the first one's floor in force.
    #[test]
    fn a_floor_of_an_earlier_release_is_lowered_too() {
        let min = |min| Some(GroupChange { min: Some(min), ..GroupChange::default() });
        let (blue, green) = (name("blue"), name("green"));
        let owed = [entry("blue", 2, 10, true), entry("green", 2, 10, true)];
        for group in Scaling::of_groups([(&blue, &group(10, 12)), (&green, &group(10, 12))], &owed) {
            let Scaling::AutoScalingGroup(own) = &group else { panic!("{group:?}") };
            for (floor, expected) in [(10, min(2)), (12, min(2)), (2, None), (11, None)] {
                assert_eq!(own.lowered(&super::tests::group(floor, 12)), expected, "{floor}");
            }
            let text = serde_json::to_string(&group).unwrap();
            assert_eq!(serde_json::from_str::<Scaling>(&text).unwrap(), group);
        }
        let before = r#"{"auto_scaling_group": {"name": "blue", "min": 2, "floor": 10, "rebalanced": true}}"#;
        assert_eq!(serde_json::from_str::<Scaling>(before).unwrap(), owed[0], "as written without it");
    }

    #[test]
    fn the_first_deployment_keeps_the_candidates_own_least_size() {
        let (blue, green) = (name("blue"), name("green"));
        let of = |state: &GroupState, owed: &[Scaling]| {
            let [stable, candidate] = Scaling::of_groups([(&blue, &group(0, 0)), (&green, state)], owed);
            assert_eq!(stable, entry("blue", 0, 0, true));
            candidate
        };
        let first = of(&group(2, 3), &[]);
        assert_eq!(first, entry("green", 2, 3, true));
        assert_eq!(of(&group(3, 4), &[first]), holding(entry("green", 2, 4, true), 3), "tried again");
    }

    #[test]
    fn a_floor_is_raised_and_lowered_unless_somebody_knows_better() {
        let own = ScalingGroup { name: name("blue"), min: 2, floor: 10, held: None, rebalanced: true };
        let min = |min| Some(GroupChange { min: Some(min), ..GroupChange::default() });
        assert_eq!(own.raised(&group(2, 8)), min(10));
        assert_eq!(own.raised(&group(10, 10)), None);
        assert_eq!(own.raised(&group(12, 12)), None);
        assert_eq!(own.raised(&GroupState { max: 9, ..group(2, 8) }), None);
        assert_eq!(own.lowered(&group(10, 15)), min(2));
        for set in [0, 2, 5, 11] {
            assert_eq!(own.lowered(&group(set, 15)), None, "{set}");
        }
        assert_eq!(ScalingGroup { min: 10, ..own }.lowered(&group(10, 15)), None, "it was that before");
    }

    #[test]
    fn a_service_that_people_have_suspended_stays_so() {
        let service: EcsService =
            serde_json::from_str(r#"{"cluster": "main", "service": "shop", "container": "app"}"#).unwrap();
        let own = Scaling::EcsService(EcsService { container: None, ..service.clone() });
        assert!(own.is_of(&Compute::EcsService(service.clone())));
        for (suspended, owed, expected) in [
            (None, true, None),
            (Some(false), false, Some(own.clone())),
            (Some(true), false, None),
            (Some(true), true, Some(own.clone())),
        ] {
            let owed = if owed { vec![own.clone()] } else { Vec::new() };
            assert_eq!(Scaling::of_service(&service, suspended, &owed), expected, "{suspended:?} {owed:?}");
        }
    }
}

//! How executions end.

/// What an ending means, by its name; the rest of it is in the cause. Empty for one that is none of ours.
#[must_use]
pub fn meaning(ending: &str) -> &'static str {
    match ending {
        "Promoted" | "promoted" => "all traffic is on the new version",
        "AlreadyStable" | "already_stable" => "this version had all traffic already; nothing was changed",
        "RolledBack" | "rolled_back" => "all traffic is on the old version again",
        "StableDead" => "the old version has no healthy host, so the new one has all traffic; people were paged",
        "Refused" => "nothing was changed",
        "LeaseHeld" => "nothing was changed: another execution is changing the service",
        "LeaseLost" => "someone else has taken the service over; this release stopped touching it",
        "LeaseNotFreed" => {
            "the lease could not be given back: the guard does that, and rolls back what was not promoted by then"
        }
        "RollBackFailed" => "traffic may be split; people were paged, and the lease is kept",
        "NothingToUndo" => "nothing was changed: no release was promoted since the last one that was planned",
        "freed" => "nothing had been changed, and the lease is free",
        "not_dead" => "nothing was changed: someone else was faster",
        "Outrun" => "nothing was changed: a newer release took its place while it waited",
        "SameFailed" => "nothing was changed: another release tried the same version, and did not promote it",
        _ => "",
    }
}

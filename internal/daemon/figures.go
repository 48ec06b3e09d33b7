package daemon

// nodeFigures are those of membership and soft state.
func nodeFigures(gauge, counter adder) {
	gauge("epoch_counter", "Counter of the installed epoch.", func(s *snapshot) float64 { return float64(s.node.EpochCounter) })
	gauge("members", "Nodes in the view.", func(s *snapshot) float64 { return float64(s.node.Members) })
	gauge("known_nodes", "Nodes ever met and not removed.", func(s *snapshot) float64 { return float64(s.node.Known) })
	gauge("buckets_managed", "Buckets that this node manages.", func(s *snapshot) float64 { return float64(s.node.BucketsManaged) })
	gauge("buckets_incomplete", "Of them, not told in full by every member.", func(s *snapshot) float64 { return float64(s.node.BucketsIncomplete) })
	gauge("owners_managed", "Owners with soft state here.", func(s *snapshot) float64 { return float64(s.node.OwnersManaged) })
	gauge("soft_state_bytes", "Estimate of the memory that soft state takes.", func(s *snapshot) float64 { return float64(s.node.SoftBytes) })
	gauge("owed_buckets", "Buckets whose manager has not acknowledged what this node holds.", func(s *snapshot) float64 { return float64(s.node.OwedBuckets) })
	gauge("owed_holdings", "Single holdings whose manager has not acknowledged them.", func(s *snapshot) float64 { return float64(s.node.OwedHoldings) })
	counter("lookups_total", "Lookups made by this node.", func(s *snapshot) float64 { return float64(s.node.Lookups) })
	counter("retries_total", "Calls tried again because the view was changing.", func(s *snapshot) float64 { return float64(s.node.Retries) })
	counter("fenced_total", "Requests refused because they came from another epoch.", func(s *snapshot) float64 { return float64(s.node.Fenced) })
	counter("clock_skew_total", "Stamps and updates from too far in the future, and changes refused because this node's own clock is ahead.", func(s *snapshot) float64 { return float64(s.node.Skewed) })
	counter("pushes_total", "Reports sent to managers.", func(s *snapshot) float64 { return float64(s.node.Pushes) })
	counter("push_failures_total", "Reports that managers did not take; they are sent again.", func(s *snapshot) float64 { return float64(s.node.PushFailures) })
	counter("buckets_scanned_total", "Buckets read from disk for a new manager.", func(s *snapshot) float64 { return float64(s.node.BucketsScanned) })
	counter("membership_dropped_total", "Membership messages not sent because too many were under way.", func(s *snapshot) float64 { return float64(s.node.MessagesDropped) })
	gauge("out", "1 while this node takes no part in the cluster because its disk hangs.", func(s *snapshot) float64 { return oneIf(s.node.Out) })
	counter("outages_total", "Times that this node left the cluster because its disk hung.", func(s *snapshot) float64 { return float64(s.node.Outages) })
	gauge("disk_owing_seconds", "For how long the disk has owed its oldest answer to a commit.", func(s *snapshot) float64 { return s.node.Owing.Seconds() })
	counter("registrations_late_total", "Commits whose manager did not hear of them in time.", func(s *snapshot) float64 { return float64(s.node.RegistrationsLate) })
}

// replicationFigures are those of the update log. Its length is among the figures of the upkeep.
func replicationFigures(gauge, counter adder) {
	counter("offers_total", "Calls that offered updates to nodes which may have missed them.", func(s *snapshot) float64 { return float64(s.node.Offers) })
	counter("offered_updates_total", "Updates in them.", func(s *snapshot) float64 { return float64(s.node.OfferedItems) })
	counter("offers_wanted_total", "Of them, those whose contents the other node lacked.", func(s *snapshot) float64 { return float64(s.node.Wants) })
	counter("catch_up_bytes_total", "Bytes sent with offers, contents included.", func(s *snapshot) float64 { return float64(s.node.CatchUpBytes) })
	counter("retirements_total", "Updates that other nodes said are complete.", func(s *snapshot) float64 { return float64(s.node.Retires) })
	counter("superseded_total", "Updates that met a newer one.", func(s *snapshot) float64 { return float64(s.node.Superseded) })
	counter("late_calls_total", "Calls refused because they were sent too long ago; if it grows, look at the clocks.", func(s *snapshot) float64 { return float64(s.node.LateCalls) })
	counter("reconciled_total", "Users, aliases and domains of which nodes held different versions that knew nothing of each other.", func(s *snapshot) float64 { return float64(s.node.Reconciled) })
	counter("removals_refused_total", "Times that a copy was not removed yet, since nobody who keeps one said that it was whole.", func(s *snapshot) float64 { return float64(s.node.Unconfirmed) })
	counter("doubts_lost_total", "Updates that propagate after the next start of this node only.", func(s *snapshot) float64 { return float64(s.node.DoubtsLost) })
}

// storeFigures are those of the disk.
func storeFigures(gauge, counter adder) {
	gauge("store_pending", "Updates waiting for their durable commit.", func(s *snapshot) float64 { return float64(s.store.Pending) })
	counter("store_commits_total", "Durable commits.", func(s *snapshot) float64 { return float64(s.store.Commits) })
	counter("store_commit_seconds_total", "Time that durable commits took.", func(s *snapshot) float64 { return s.store.CommitTime.Seconds() })
	counter("store_updates_total", "Updates in durable commits.", func(s *snapshot) float64 { return float64(s.store.Updates) })
	counter("store_bytes_total", "Bytes of contents taken in.", func(s *snapshot) float64 { return float64(s.store.Bytes) })
	counter("store_log_syncs_total", "Fsyncs of the write-ahead log.", func(s *snapshot) float64 { return float64(s.store.LogSyncs) })
	counter("store_syncs_total", "Fsyncs of all files.", func(s *snapshot) float64 { return float64(s.store.Syncs) })
	counter("store_refused_total", "Updates refused because the disk was full.", func(s *snapshot) float64 { return float64(s.store.Refused) })
	counter("store_corrupt_total", "Damaged records and contents met.", func(s *snapshot) float64 { return float64(s.store.Corrupt) })
	counter("store_stalls_total", "Times that writes waited for flushes or compactions.", func(s *snapshot) float64 { return float64(s.store.Stalls) })
	counter("store_broken_total", "Broken rules of the layout; anything but 0 is a bug.", func(s *snapshot) float64 { return float64(s.store.Broken) })
	gauge("store_objects", "Objects held, without those that managers keep in memory: messages, and what ledgers say of folders.", func(s *snapshot) float64 { return float64(s.store.Objects) })
	gauge("store_content_bytes", "Bytes of the contents of all objects.", func(s *snapshot) float64 { return float64(s.store.Contents) })
	gauge("store_disk_free_bytes", "Free space on the disk.", func(s *snapshot) float64 { return float64(s.store.DiskFree) })
	gauge("store_update_records", "Update records on this disk that propagate.", func(s *snapshot) float64 { return float64(s.store.Records) })
	gauge("store_update_records_retired", "Update records that are over and remembered for a while.", func(s *snapshot) float64 { return float64(s.store.Retired) })
	gauge("store_vaulted", "Deleted messages that can still be restored.", func(s *snapshot) float64 { return float64(s.store.Vaulted) })
	gauge("store_vaulted_bytes", "Bytes of their contents.", func(s *snapshot) float64 { return float64(s.store.VaultBytes) })
	counter("store_healed_total", "Objects whose damaged contents were replaced.", func(s *snapshot) float64 { return float64(s.store.Healed) })
	counter("store_collected_total", "Records, tombstones and vaulted messages removed since their time was over.", func(s *snapshot) float64 { return float64(s.store.Collected) })
	counter("store_derived_total", "Messages of which the structure was found out and kept beside them.", func(s *snapshot) float64 { return float64(s.store.Derived) })
	counter("store_derived_late_total", "Of them, those that were asked for before there was any: stored by an older version.", func(s *snapshot) float64 { return float64(s.store.Late) })
	counter("store_underived_total", "Messages that have no structure that could be found: they are read whole each time.", func(s *snapshot) float64 { return float64(s.store.Underived) })
	counter("store_background_failures_total", "Flushes and compactions that failed and are tried again.", func(s *snapshot) float64 { return float64(s.store.Background) })
}

// serviceFigures are those of the mail service and of certificates.
func serviceFigures(gauge, counter adder) {
	gauge("maildrop_locks_given", "Maildrop locks that this node gives as manager.", func(s *snapshot) float64 { return float64(s.locks) })
	counter("delivery_short_total", "Messages acknowledged on fewer nodes than wanted; repair brings the rest.", func(s *snapshot) float64 { return float64(s.short) })
	gauge("deliveries_in_progress", "Messages that are being made durable now.", func(s *snapshot) float64 { return float64(s.turns.Inside) })
	gauge("deliveries_limit", "How many may be at once: it follows the time that they take.", func(s *snapshot) float64 { return float64(s.turns.Limit) })
	gauge("deliveries_waiting", "Messages that wait for their turn.", func(s *snapshot) float64 { return float64(s.turns.Waiting) })
	counter("deliveries_waited_seconds_total", "Time that messages waited for their turn.", func(s *snapshot) float64 { return s.turns.Waited.Seconds() })
	counter("deliveries_busy_connections_total", "Connections sent away since too many messages waited.", func(s *snapshot) float64 { return float64(s.turns.Refused.Connections) })
	counter("deliveries_busy_early_total", "Messages put off at MAIL since too many waited.", func(s *snapshot) float64 { return float64(s.turns.Refused.Messages) })
	counter("deliveries_busy_late_total", "Messages put off after they had been sent, since too many waited.", func(s *snapshot) float64 { return float64(s.turns.Refused.Full + s.turns.Refused.Late) })
	counter("deliveries_abandoned_total", "Messages not stored since their client had gone when their turn came.", func(s *snapshot) float64 { return float64(s.turns.Gone) })
	counter("delivery_retries_refused_total", "Deliveries that were not tried at other nodes since too many had been.", func(s *snapshot) float64 { return float64(s.retriesRefused) })
	counter("calls_expired_total", "Calls of other nodes that had given up before they could be begun here.", func(s *snapshot) float64 { return float64(s.expired) })
	gauge("certificate_not_after_seconds", "When this node's certificate for the cluster port ends, in seconds since 1970.", func(s *snapshot) float64 { return s.certEnd })
	gauge("mail_certificate_not_after_seconds", "When the certificate shown to mail clients ends, in seconds since 1970; 0 before there is one.", func(s *snapshot) float64 { return s.mailCertEnd })
}

// oneIf is how a gauge tells a fact.
func oneIf(fact bool) float64 {
	if fact {
		return 1
	}
	return 0
}

// Package bench loads a mail service with SMTP deliveries and POP3 pick-ups, times them, and keeps
// a ledger of every message that was acknowledged. It is a client: it imports nothing of this
// module but its own two rooms, so it can load any mail server, and a fault of ours cannot hide in
// code that both sides share.
//
// # Workload
//
// The workload is that of the Porcupine measurements (SOSP '99). Workers run closed loops:
// the next session starts when the last one has ended. Nine sessions of ten are SMTP and deliver
// one message to one user; one of ten is POP3, which fetches and deletes everything in one user's
// mailbox. Users are drawn by Zipf's law, sizes from a lognormal law with a mean of 4.7 KB and a
// tail up to 1 MiB. With several addresses each session takes them in random order until one lets it
// connect, as clients do that look a name up in the DNS. The seed fixes every draw, but not the order in which the workers come to draw.
//
// # The ledger
//
// See package ledger for what counts as lost, duplicated, misplaced, corrupt, phantom and
// ambiguous. After the load, Run reads every mailbox that was written to, until all that is owed
// was found or Config.Settle has passed without news, and only then is a message lost.
//
// # Outcome
//
// Run returns an error only if there was no measurement: a bad Config, or a context that ended
// before the ledger was settled. What the service did wrong stands in the Report, and
// Report.ExitStatus maps it to the status of the command:
//
//	0  every promise was kept
//	1  messages were lost, duplicated, misplaced, corrupt or phantom, or the mailboxes could not
//	   all be read, or no session at all succeeded
//	2  there was no measurement (ExitUsage, for the caller to use when Run gives an error)
//
// Failed sessions alone do not make a failure: a client of a mail service tries again.
package bench

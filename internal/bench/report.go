package bench

import (
	"fmt"
	"io"
	"time"

	"porcupine/internal/bench/ledger"
)

// ExitUsage is the exit status of a command whose Run gave an error: there was no measurement.
const ExitUsage = 2

// Report is the outcome of one Run. Its JSON form is stable: fields are added, never renamed.
// All durations in JSON are in milliseconds.
type Report struct {
	Seed     uint64        `json:"seed"`
	Workers  int           `json:"workers"`
	Load     time.Duration `json:"-"` // how long the load took
	LoadMS   float64       `json:"load_ms"`
	SettleMS float64       `json:"settle_ms"` // from the end of the load to the end of the ledger

	Accepted       int64   `json:"accepted"`         // SMTP sessions whose message got its 250
	AcceptedPerSec float64 `json:"accepted_per_sec"` // during the load
	AcceptedBytes  int64   `json:"accepted_bytes"`
	Refused4xx     int64   `json:"refused_4xx"` // SMTP sessions ended by a temporary refusal
	Refused5xx     int64   `json:"refused_5xx"` // SMTP sessions ended by a permanent refusal
	SMTPErrors     int64   `json:"smtp_errors"` // SMTP sessions that broke
	Pickups        int64   `json:"pickups"`     // POP3 sessions that ended well, during the load
	Retrieved      int64   `json:"retrieved"`   // messages fetched and deleted by those
	POP3Refused    int64   `json:"pop3_refused"`
	POP3Errors     int64   `json:"pop3_errors"`
	Unreachable    int64   `json:"unreachable"` // connections refused; the session then tried the next address

	SMTP Latency `json:"smtp_latency"` // sessions that succeeded, from dialling to the 250
	POP3 Latency `json:"pop3_latency"` // sessions that succeeded, from dialling to the answer to QUIT
	// Outages has one value for each time that a user's sessions began to fail: from the start of
	// the first failed one to the end of the next that succeeded for that user.
	Outages      Latency `json:"user_outages"`
	LongestGapMS float64 `json:"longest_gap_ms"` // longest time in which no session succeeded at all

	Ledger     ledger.Totals `json:"ledger"`
	Unread     []string      `json:"unread_mailboxes"` // could not be read to the end when settling; at most unreadMax named
	UnreadMore int           `json:"unread_mailboxes_more"`
	Examples   []string      `json:"examples"` // broken promises and session errors in words; at most examplesMax each
	Timeline   []Second      `json:"timeline"` // one for each second of the load
}

// Second counts the sessions that ended in one second of the load.
type Second struct {
	Accepted int64 `json:"accepted"`
	Pickups  int64 `json:"pickups"`
	Failed   int64 `json:"failed"` // refused or broken
}

// OK reports whether every promise was kept: nothing lost, duplicated, misplaced, corrupt or
// phantom, all mailboxes read, and at least one session succeeded.
func (r Report) OK() bool {
	return r.Ledger.OK() && len(r.Unread) == 0 && r.Accepted+r.Pickups > 0
}

// ExitStatus gives 0 if OK, otherwise 1.
func (r Report) ExitStatus() int {
	if r.OK() {
		return 0
	}
	return 1
}

// WriteText writes the report for people.
func (r Report) WriteText(w io.Writer) error {
	l := r.Ledger
	_, err := fmt.Fprintf(w, `load        %.1f s, %d workers, seed %d
accepted    %d messages, %.1f a second, %d bytes
smtp        %s; refused: %d temporarily, %d permanently; broken: %d
pop3        %s; %d sessions, %d messages; refused: %d; broken: %d
outages     %s (one user's sessions failing); longest gap %.0f ms; unreachable addresses: %d
ledger      %d owed, %d found; after %.1f s of settling
            lost %d, duplicated %d, misplaced %d, corrupt %d, phantom %d
            ambiguous %d (%d of them found), renamed %d, foreign %d
`,
		r.LoadMS/1000, r.Workers, r.Seed,
		r.Accepted, r.AcceptedPerSec, r.AcceptedBytes,
		r.SMTP, r.Refused4xx, r.Refused5xx, r.SMTPErrors,
		r.POP3, r.Pickups, r.Retrieved, r.POP3Refused, r.POP3Errors,
		r.Outages, r.LongestGapMS, r.Unreachable,
		l.Owed, l.Found, r.SettleMS/1000,
		l.Lost, l.Duplicated, l.Misplaced, l.Corrupt, l.Phantom,
		l.Ambiguous, l.AmbiguousFound, l.Renamed, l.Foreign)
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	for _, u := range r.Unread {
		if _, err := fmt.Fprintf(w, "unread      %s\n", u); err != nil {
			return fmt.Errorf("write report: %w", err)
		}
	}
	for _, e := range r.Examples {
		if _, err := fmt.Fprintf(w, "example     %s\n", e); err != nil {
			return fmt.Errorf("write report: %w", err)
		}
	}
	verdict := "ok: every promise was kept"
	if !r.OK() {
		verdict = "FAILED"
	}
	if _, err := fmt.Fprintln(w, verdict); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

package bench

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// IMAPLoad is what sessions of an IMAP load do.
type IMAPLoad string

// The loads.
const (
	IMAPLogin        IMAPLoad = "login"         // connect, log in, select INBOX, log out: a storm after an outage
	IMAPAppend       IMAPLoad = "append"        // store messages, each worker in a folder of its own
	IMAPMultiAppend  IMAPLoad = "multiappend"   // the same, 100 messages with one command (RFC 3502)
	IMAPFetch        IMAPLoad = "fetch"         // fetch whole messages, 50 at a time, from a folder of Messages
	IMAPSelect       IMAPLoad = "select"        // select and unselect a folder of Messages
	IMAPFlags        IMAPLoad = "flags"         // UIDs and flags of a folder of Messages: what a client asks that comes back
	IMAPSync         IMAPLoad = "sync"          // UIDs and flags, then envelopes and structures, of a folder of Messages: a new phone
	IMAPHeaders      IMAPLoad = "headers"       // the header fields that a desktop client shows, of a folder of Messages
	IMAPSearchHeader IMAPLoad = "search-header" // search a folder of Messages for a text in a field that no envelope has
	IMAPSearchFrom   IMAPLoad = "search-from"   // search it for a sender
	IMAPSearchBody   IMAPLoad = "search-body"   // search its texts
	IMAPIdle         IMAPLoad = "idle"          // Workers sessions idle; a message is stored, and all of them must hear of it
)

// IMAPLoads lists them.
func IMAPLoads() []string {
	return []string{string(IMAPLogin), string(IMAPAppend), string(IMAPMultiAppend), string(IMAPFetch), string(IMAPSelect), string(IMAPFlags),
		string(IMAPSync), string(IMAPHeaders), string(IMAPSearchHeader), string(IMAPSearchFrom), string(IMAPSearchBody), string(IMAPIdle)}
}

// folders is how many of the users have a folder that the load uses, and filled whether that is to be full first.
func (c *IMAPConfig) folders() (count int, filled bool) {
	switch c.Load {
	case IMAPLogin, IMAPIdle:
		return 0, false
	case IMAPAppend, IMAPMultiAppend:
		return min(c.Users, c.Workers), false
	default:
		return min(c.Users, c.Workers), true
	}
}

// benchFolder is the folder that is filled; INBOX stays as it is.
const benchFolder = "bench"

// Limits of an IMAPConfig.
const (
	FolderMax  = 1_000_000 // messages
	fetchBatch = 50
	fillBatch  = 100 // messages of one APPEND, if the service takes several
	fillers    = 8   // sessions that fill a folder
)

// IMAPConfig says what to load. See Config for the fields of the same name.
type IMAPConfig struct {
	Addrs       []string // host:port of the IMAP listeners; sessions take them in turn
	Load        IMAPLoad
	UserPattern string
	Users       int
	Password    string
	Workers     int
	Duration    time.Duration
	Messages    int // in the folder that is fetched, selected or synchronised; it is filled first
	Size        int // bytes of a message
	Seed        uint64
	Timeout     time.Duration // for one network step
	TLS         TLSMode
	AllowRemote bool
}

// IMAPReport is the outcome.
type IMAPReport struct {
	Load     IMAPLoad      `json:"load"`
	Took     time.Duration `json:"-"`
	TookMS   float64       `json:"took_ms"`
	Done     int64         `json:"done"`     // operations
	Messages int64         `json:"messages"` // stored, fetched or announced by them
	Bytes    int64         `json:"bytes"`
	Failed   int64         `json:"failed"`
	PerSec   float64       `json:"messages_per_sec"`
	Latency  Latency       `json:"latency"` // of one operation that succeeded
	// First is how long the first user's login and SELECT took, when nobody may have had the folder open before; 0: no
	// folder was used.
	First   float64 `json:"first_ms,omitempty"`
	Example string  `json:"example,omitempty"`
}

// WriteText writes the report for people.
func (r IMAPReport) WriteText(w io.Writer) error {
	_, err := fmt.Fprintf(w, "%-7s %.1f s, %d operations, %d failed; %d messages, %.1f a second; %d bytes\n        %s\n",
		r.Load, r.TookMS/1000, r.Done, r.Failed, r.Messages, r.PerSec, r.Bytes, r.Latency)
	if err == nil && r.First > 0 {
		_, err = fmt.Fprintf(w, "        the first login and SELECT took %.1f ms\n", r.First)
	}
	if err == nil && r.Example != "" {
		_, err = fmt.Fprintf(w, "example %s\n", r.Example)
	}
	return err
}

// Validate lists everything that is wrong.
func (c IMAPConfig) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(len(c.Addrs) > 0 && len(c.Addrs) <= AddressesMax, "want 1 to %d IMAP addresses, host:port", AddressesMax)
	for _, addr := range c.Addrs {
		if err := checkTarget(addr, c.AllowRemote); err != nil {
			errs = append(errs, err)
		}
	}
	check(slices.Contains(IMAPLoads(), string(c.Load)), "load %q: want one of %v", c.Load, IMAPLoads())
	check(strings.Count(c.UserPattern, "%") == 1 && strings.Contains(c.UserPattern, "%d"), "user pattern %q: want exactly one %%d", c.UserPattern)
	check(1 <= c.Users && c.Users <= UsersMax, "users = %d: want 1 to %d", c.Users, UsersMax)
	check(1 <= c.Workers && c.Workers <= WorkersMax, "workers = %d: want 1 to %d", c.Workers, WorkersMax)
	check(0 < c.Duration && c.Duration <= DurationMax, "duration = %v: want more than 0, at most %v", c.Duration, DurationMax)
	check(0 <= c.Messages && c.Messages <= FolderMax, "messages = %d: want 0 to %d", c.Messages, FolderMax)
	check(MessageMin <= c.Size && c.Size <= MessageMax, "size = %d: want %d to %d", c.Size, MessageMin, MessageMax)
	check(c.Timeout > 0, "timeout = %v: want more than 0", c.Timeout)
	if len(errs) > 0 {
		return fmt.Errorf("IMAP benchmark configuration: %w", errors.Join(errs...))
	}
	return nil
}

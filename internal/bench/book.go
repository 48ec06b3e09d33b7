package bench

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"porcupine/internal/bench/client"
	"porcupine/internal/bench/ledger"
)

// examplesMax bounds the kinds of session errors that are described in words; unreadMax the mailboxes named.
const (
	examplesMax = 20
	unreadMax   = 20
)

// book keeps all that the workers find out: the ledger and the counts. Its methods lock it, and
// do no I/O.
type book struct {
	mu       sync.Mutex
	ledger   ledger.Ledger
	rep      Report
	sessions int64        // taken so far
	reading  map[int]bool // mailboxes that a session of ours reads
	begun    time.Time    // of the load
	ended    time.Time    // of the load; zero while it runs
	good     time.Time    // the last success, or the beginning
	longest  time.Duration
	failing  map[int]time.Time // user -> start of the first session that failed
	errors   map[string]int    // session errors in words, and how often
	unread   map[int]error
}

func newBook(c Config) *book {
	return &book{
		rep:     Report{Seed: c.Seed, Workers: c.Workers},
		reading: make(map[int]bool),
		failing: make(map[int]time.Time),
		errors:  make(map[string]int),
		unread:  make(map[int]error),
	}
}

func (b *book) start(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.begun, b.good = now, now
}

// stop ends the load: outages that still last are counted as long as they are.
func (b *book) stop(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = now
	b.longest = max(b.longest, now.Sub(b.good))
	for _, since := range b.failing {
		b.rep.Outages.Record(now.Sub(since))
	}
}

// takeSession reports whether one more session may start; limit 0 is none.
func (b *book) takeSession(limit int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if limit > 0 && b.sessions >= limit {
		return false
	}
	b.sessions++
	return true
}

func (b *book) lockMailbox(user int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.reading[user] {
		return false
	}
	b.reading[user] = true
	return true
}

func (b *book) unlockMailbox(user int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.reading, user)
}

func (b *book) enter(user int) ledger.Number {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ledger.Enter(user)
}

func (b *book) seal(n ledger.Number, message []byte) {
	sum := sha256.Sum256(message)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ledger.Seal(n, sum)
}

// delivery is an SMTP session that ended.
type delivery struct {
	number     ledger.Number
	user       int
	addr       string
	start, end time.Time
	size       int
	outcome    ledger.Outcome
	err        error
}

func (b *book) delivered(d delivery) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ledger.Answered(d.number, d.outcome)
	second := b.ending(d.user, d.start, d.end, d.err)
	if d.err == nil {
		b.rep.Accepted++
		b.rep.AcceptedBytes += int64(d.size)
		b.rep.SMTP.Record(d.end.Sub(d.start))
		second.Accepted++
		return
	}
	var refusal *client.Refusal
	switch {
	case !errors.As(d.err, &refusal):
		b.rep.SMTPErrors++
	case refusal.Permanent():
		b.rep.Refused5xx++
	default:
		b.rep.Refused4xx++
	}
	second.Failed++
	b.example("smtp", d.addr, d.err)
}

// pickup is a POP3 session that ended.
type pickup struct {
	user       int
	addr       string
	start, end time.Time
	messages   int
	err        error
}

func (b *book) pickedUp(p pickup) {
	b.mu.Lock()
	defer b.mu.Unlock()
	second := b.ending(p.user, p.start, p.end, p.err)
	if p.err == nil {
		b.rep.Pickups++
		b.rep.Retrieved += int64(p.messages)
		b.rep.POP3.Record(p.end.Sub(p.start))
		second.Pickups++
		return
	}
	var refusal *client.Refusal
	if errors.As(p.err, &refusal) {
		b.rep.POP3Refused++
	} else {
		b.rep.POP3Errors++
	}
	second.Failed++
	b.example("pop3", p.addr, p.err)
}

// ending keeps the outages and the longest gap, and gives the second in which the session ended.
func (b *book) ending(user int, start, end time.Time, err error) *Second {
	since, failing := b.failing[user]
	switch {
	case err != nil && !failing:
		b.failing[user] = start
	case err == nil:
		if failing {
			b.rep.Outages.Record(end.Sub(since))
			delete(b.failing, user)
		}
		b.longest = max(b.longest, end.Sub(b.good))
		b.good = end
	}
	i := int(end.Sub(b.begun) / time.Second)
	for len(b.rep.Timeline) <= i {
		b.rep.Timeline = append(b.rep.Timeline, Second{})
	}
	return &b.rep.Timeline[i]
}

// example keeps the first kinds of errors: what differs only by our own port is one kind.
func (b *book) example(protocol, addr string, err error) {
	text := err.Error()
	var op *net.OpError
	if errors.As(err, &op) {
		text = strings.Replace(text, op.Error(), op.Op+": "+op.Err.Error(), 1)
	}
	text = protocol + " " + addr + ": " + text
	if b.errors[text] > 0 || len(b.errors) < examplesMax {
		b.errors[text]++
	}
}

// unreachable counts an address that a session could not connect to.
func (b *book) unreachable() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended.IsZero() {
		b.rep.Unreachable++
	}
}

func (b *book) openPage(user int) *ledger.Pickup {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ledger.Pickup(user)
}

// found records a message fetched; ours says whether it bears this run's mark.
func (b *book) found(page *ledger.Pickup, f ledger.Finding, ours bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if ours {
		page.Found(f)
	} else {
		page.Foreign()
	}
}

func (b *book) closePage(page *ledger.Pickup, how ledger.Ending) {
	b.mu.Lock()
	defer b.mu.Unlock()
	page.End(how)
}

// setUnread notes why a mailbox could not be read the last time, nil if it could.
func (b *book) setUnread(user int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil {
		delete(b.unread, user)
	} else {
		b.unread[user] = err
	}
}

// standing gives the numbers that tell whether the settling goes on: messages missing, the
// mailboxes that owe them, and those that could not be read.
func (b *book) standing() (missing int, owing, unread []int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for user := range b.unread {
		unread = append(unread, user)
	}
	return b.ledger.Missing(), b.ledger.MissingIn(), unread
}

func (b *book) mailboxes() []int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ledger.Mailboxes()
}

// report closes the book.
func (b *book) report(c Config, now time.Time) Report {
	b.mu.Lock()
	defer b.mu.Unlock()
	rep := b.rep
	rep.Load = b.ended.Sub(b.begun)
	rep.LoadMS = ms(rep.Load)
	rep.SettleMS = ms(now.Sub(b.ended))
	rep.LongestGapMS = ms(b.longest)
	if rep.Load > 0 {
		rep.AcceptedPerSec = float64(rep.Accepted) / rep.Load.Seconds()
	}
	rep.Ledger, rep.Examples = b.ledger.Settle()
	for _, text := range slices.Sorted(maps.Keys(b.errors)) {
		rep.Examples = append(rep.Examples, fmt.Sprintf("%d times: %s", b.errors[text], text))
	}
	users := slices.Sorted(maps.Keys(b.unread))
	rep.UnreadMore = max(0, len(users)-unreadMax)
	for _, user := range users[:len(users)-rep.UnreadMore] {
		rep.Unread = append(rep.Unread, fmt.Sprintf("%s: %v", fmt.Sprintf(c.UserPattern, user), b.unread[user]))
	}
	return rep
}

package sasl

import (
	"container/list"
	"time"
)

// penalties are the delays after one, two, ... failures; more cost as much as the last.
var penalties = [...]time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second, 15 * time.Second}

// siteForgives is how many failures of an IPv6 /48 cost nothing: it may be one office or a
// whole provider's customers.
const siteForgives = 16

// failuresMax bounds a count, so that taking failures back stays meaningful.
const failuresMax = 1 << 16

// penalty gives the delay that so many failures cost.
func penalty(failures int) time.Duration {
	if failures <= 0 {
		return 0
	}
	return penalties[min(failures, len(penalties))-1]
}

// keys are what one attempt is counted under: hashes of the network, the IPv6 /48, the account,
// and network and account together.
type keys struct {
	network, site, account, pair uint64
	hasSite                      bool
}

// record remembers failures and trusted pairs. It is pure: the time comes in. It has one owner
// and no lock.
type record struct {
	failed  lru // failures, by network, site, account and pair
	trusted lru // pairs that have logged in; only a right password adds to it
	forget  time.Duration
}

func newRecord(entriesMax int, forget time.Duration) record {
	return record{failed: newLRU(entriesMax), trusted: newLRU(entriesMax), forget: forget}
}

// id tells the kinds of keys in one table apart.
type id struct {
	kind byte // 'n'etwork, 's'ite, 'a'ccount, 'p'air
	hash uint64
}

// entry is what is remembered of one id.
type entry struct {
	id       id
	failures int
	last     time.Time // of the last failure
	next     time.Time // networks and pairs: no attempt is looked at before
	// added is by how much failures at other nodes have put off next, in all.
	added time.Duration
}

func (r *record) isTrusted(k keys) bool { return r.trusted.get(id{'p', k.pair}) != nil }

// reserve gives the wait that an attempt owes now, and books the time that the attempt after it
// will have to wait for; ok is false, and nothing is booked, if the wait is longer than allowed. mark is what
// added gives now.
func (r *record) reserve(k keys, now time.Time, waitMax time.Duration) (wait, mark time.Duration, ok bool) {
	serial, forgives := r.serial(k)
	start := now
	if !r.isTrusted(k) {
		if a := r.live(id{'a', k.account}, now); a != nil {
			start = now.Add(penalty(a.failures))
		}
	}
	for _, s := range serial {
		if e := r.live(s, now); e != nil && e.next.After(start) {
			start = e.next
		}
	}
	if start.Sub(now) > waitMax {
		return 0, 0, false
	}
	for i, s := range serial {
		if e := r.live(s, now); e != nil {
			e.next = start.Add(penalty(e.failures - forgives[i]))
		}
	}
	return start.Sub(now), r.added(k), true
}

// added gives by how much failures at other nodes have put off the attempts of these keys, in all. It is
// less than before if something of them has been forgotten.
func (r *record) added(k keys) (d time.Duration) {
	serial, _ := r.serial(k)
	for _, s := range serial {
		if e := r.failed.get(s); e != nil {
			d += e.added
		}
	}
	return d
}

// serial lists the ids whose attempts wait one after the other, and how many failures of each
// cost nothing.
func (r *record) serial(k keys) ([]id, []int) {
	switch {
	case r.isTrusted(k):
		return []id{{'p', k.pair}}, []int{0}
	case k.hasSite:
		return []id{{'n', k.network}, {'s', k.site}}, []int{0, siteForgives}
	}
	return []id{{'n', k.network}}, []int{0}
}

// event is the end of an attempt, as other nodes hear of it.
type event struct {
	keys   keys
	failed bool
	taken  int // of a success: how many failures of the pair it takes back
}

// ids lists what an attempt is counted under.
func (k keys) ids() []id {
	all := []id{{'p', k.pair}, {'n', k.network}, {'a', k.account}}
	if k.hasSite {
		all = append(all, id{'s', k.site})
	}
	return all
}

// settle counts the end of an attempt. news: other nodes should hear of it, since something has changed.
func (r *record) settle(k keys, now time.Time, o Outcome) (e event, news bool) {
	e = event{keys: k, failed: o == Failed}
	switch o {
	case Failed:
		for _, i := range k.ids() {
			r.fail(i, now, false)
		}
		return e, true
	case Succeeded:
		if own := r.live(id{'p', k.pair}, now); own != nil {
			e.taken = own.failures
		}
		news = !r.isTrusted(k) || e.taken > 0
		r.succeed(e, now)
	}
	return e, news
}

// learn counts the end of an attempt at another node.
func (r *record) learn(e event, now time.Time) {
	if !e.failed {
		r.succeed(e, now)
		return
	}
	for _, i := range e.keys.ids() {
		r.fail(i, now, true)
	}
}

func (r *record) succeed(e event, now time.Time) {
	r.trusted.put(&entry{id: id{'p', e.keys.pair}})
	if e.taken == 0 {
		return
	}
	for _, i := range e.keys.ids() {
		r.forgive(i, e.taken, now)
	}
}

// elsewhereMax bounds how far failures at other nodes put off the next attempt here.
const elsewhereMax = 5 * time.Minute

// fail counts one failure and sets when the next attempt may be. Attempts here wait one after the other, so
// that the failure of one is the earliest that the next may follow. One elsewhere was made while
// they waited: it puts off those that are not booked yet by its own penalty, so that n nodes
// together let as many attempts pass as one.
func (r *record) fail(i id, now time.Time, elsewhere bool) {
	e := r.live(i, now)
	if e == nil {
		e = &entry{id: i}
		r.failed.put(e)
	}
	e.failures = min(e.failures+1, failuresMax)
	e.last = now
	free := 0
	if i.kind == 's' {
		free = siteForgives
	}
	from := now
	if elsewhere && e.next.After(now) {
		from = e.next
	}
	next := from.Add(penalty(e.failures - free))
	if most := now.Add(elsewhereMax); next.After(most) {
		next = most
	}
	if next.After(e.next) {
		if elsewhere {
			e.added += next.Sub(from)
		}
		e.next = next
	}
}

// forgive takes n failures back.
func (r *record) forgive(i id, n int, now time.Time) {
	e := r.live(i, now)
	if e == nil {
		return
	}
	if e.failures -= n; e.failures <= 0 {
		r.failed.remove(i)
		return
	}
	e.next = now
}

// live gives the entry of an id unless there is none or its failures are old.
func (r *record) live(i id, now time.Time) *entry {
	e := r.failed.get(i)
	if e != nil && now.Sub(e.last) >= r.forget {
		r.failed.remove(i)
		return nil
	}
	return e
}

// lru is a bounded table; when it is full, the entry that was longest untouched goes.
type lru struct {
	max   int
	order *list.List // of *entry, the last touched first
	byID  map[id]*list.Element
}

func newLRU(entriesMax int) lru {
	return lru{max: entriesMax, order: list.New(), byID: make(map[id]*list.Element)}
}

func (l *lru) get(i id) *entry {
	el := l.byID[i]
	if el == nil {
		return nil
	}
	l.order.MoveToFront(el)
	return el.Value.(*entry)
}

func (l *lru) put(e *entry) {
	if el := l.byID[e.id]; el != nil {
		el.Value = e
		l.order.MoveToFront(el)
		return
	}
	for l.order.Len() >= l.max {
		l.remove(l.order.Back().Value.(*entry).id)
	}
	l.byID[e.id] = l.order.PushFront(e)
}

func (l *lru) remove(i id) {
	if el := l.byID[i]; el != nil {
		l.order.Remove(el)
		delete(l.byID, i)
	}
}

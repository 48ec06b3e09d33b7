package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/balance"
)

// profileID is the id of the one profile of a user.
const profileID = "p"

// Limits of one operation of a client.
const (
	lookupLimit   = 8 * time.Second // a proxy waits this long for soft state to be complete
	lookupRetry   = 250 * time.Millisecond
	storeTriesMax = 3
	copiesWanted  = 3 // of a profile
	burstMax      = 6 // operations
	burstTime     = 300 * time.Millisecond
)

type opKind int

const (
	opDeliver opKind = iota
	opRetrieve
	opCreate
	opDelete
	opKinds
)

func (k opKind) String() string {
	return [...]string{"deliver", "retrieve", "create", "delete"}[k]
}

// clients are the outside world: they talk to any node that has a process, one operation at a
// time for each user's profile, many for its mail.
type clients struct {
	w        *World
	rng      *rand.Rand
	users    []*user
	messages map[string]*sent // acknowledged
	removed  map[string]bool  // a deletion was tried
	number   int
	pause    time.Duration // mean time between two operations
	until    int64         // none begin after this
}

// user is what the outside world knows of one user: the oracle of V1.
type user struct {
	name    string
	busy    bool  // a create or delete is under way
	created int64 // when the last create succeeded
	version cluster.Timestamp
	exists  bool              // a create succeeded, and no delete has been tried that could beat it
	doubt   cluster.Timestamp // the newest delete tried
	homes   []cluster.NodeID  // nodes that hold the version
}

// sent is a message that was accepted: the oracle of D1, D9 and V2.
type sent struct {
	id    string
	user  *user
	home  *node
	acked int64
}

func (c *clients) init(w *World) {
	c.w, c.rng = w, w.stream("clients")
	c.messages = make(map[string]*sent)
	c.removed = make(map[string]bool)
	c.pause = time.Second
	for i := range 12 {
		u := &user{name: fmt.Sprintf("u%d@example.test", i)}
		c.users = append(c.users, u)
		c.w.check.buckets[c.w.id.BucketOf(u.name)] = true
	}
}

// run lets one operation begin every now and then, until the given moment.
func (c *clients) run(until int64) {
	c.until = until
	if c.w.now < until {
		c.operate()
		c.w.after(time.Duration(c.rng.ExpFloat64()*float64(c.pause)), func() { c.run(until) })
	}
}

// burst lets clients talk to a node that has just come up or gone on: they have waited for it, and
// it may be wrong about the world.
func (c *clients) burst(n *node) {
	for range c.rng.IntN(burstMax + 1) {
		c.w.after(time.Duration(c.rng.ExpFloat64()*float64(burstTime)), func() { c.operateAt(n) })
	}
}

// operate begins one operation at some node.
func (c *clients) operate() { c.operateAt(c.w.nodes[c.rng.IntN(len(c.w.nodes))]) }

func (c *clients) operateAt(n *node) {
	u := c.users[c.rng.IntN(len(c.users))]
	if !n.up() || c.w.now >= c.until {
		return
	}
	kind := opDeliver
	switch x := c.rng.IntN(100); {
	case x < 20:
		kind = opRetrieve
	case x < 30:
		kind = opCreate
	case x < 33:
		kind = opDelete
	}
	c.w.stats.Ops[kind]++
	n.after(0, func() { // a stopped process takes it up when it goes on
		switch kind {
		case opDeliver:
			c.deliver(n, u)
		case opRetrieve:
			c.retrieve(n, u, c.rng.IntN(2) == 0)
		case opCreate:
			c.create(n, u)
		case opDelete:
			c.delete(n, u)
		}
	})
}

// lookup asks the owner's manager, again and again while the answer does not prove enough, then
// gives what it has, and the view in which it was true. Enough is: the profile, or need.
func (n *node) lookup(owner string, need cluster.Knowledge, then func(cluster.Entry, *cluster.View, error)) {
	until := n.w.now + int64(lookupLimit)
	var ask func()
	ask = func() {
		view := n.view()
		manager := view.Manager(n.w.id.BucketOf(owner))
		n.call(manager, &request{method: methodLookup, owner: owner}, func(a *answer) {
			_, found := a.entry.Find(typeProfile, profileID)
			enough := a.err == nil && (a.entry.Knowledge >= need || found && need == cluster.Conclusive)
			if !enough && n.w.now < until {
				n.after(lookupRetry, ask)
				return
			}
			then(a.entry, view, a.err)
		})
	}
	ask()
}

// deliver is SMTP: 250 once the message is durable and its fragment registered.
func (c *clients) deliver(n *node, u *user) {
	begun := c.w.now
	n.lookup(u.name, cluster.Conclusive, func(e cluster.Entry, _ *cluster.View, err error) {
		if err != nil {
			return // 451
		}
		if _, ok := e.Find(typeProfile, profileID); !ok {
			c.unknown(n, u, &e, begun)
			return
		}
		c.number++
		c.store(n, u, &e, fmt.Sprintf("m%d", c.number), nil)
	})
}

// unknown ends an operation on a user without a profile: 550 if that is proven, else 451.
func (c *clients) unknown(n *node, u *user, e *cluster.Entry, begun int64) {
	if e.Knowledge == cluster.Conclusive {
		c.w.stats.Refused++
		c.w.check.refused(n, u, begun)
	}
}

// store stores a message at the best node, and at another if that one does not take it.
func (c *clients) store(n *node, u *user, e *cluster.Entry, id string, failed []cluster.NodeID) {
	q := balance.Request{Members: n.view().IDs(), Exclude: failed}
	for _, f := range e.Fragments {
		q.Holders = append(q.Holders, f.Holders...)
	}
	homes := balance.Choose(q, n.loads, c.w.time(), n.rng)
	if len(homes) == 0 || len(failed) == storeTriesMax {
		return // 451
	}
	home := homes[0]
	n.call(home, &request{method: methodStore, owner: u.name, ids: []string{id}}, func(a *answer) {
		if a.err != nil {
			c.store(n, u, e, id, append(slices.Clone(failed), home))
			return
		}
		c.w.stats.Acked++
		c.messages[id] = &sent{id: id, user: u, home: c.w.byID[home], acked: c.w.now}
	})
}

// retrieve is POP3: it shows all of the mailbox or nothing, and may delete what it showed.
func (c *clients) retrieve(n *node, u *user, remove bool) {
	begun := c.w.now
	n.lookup(u.name, cluster.Complete, func(e cluster.Entry, view *cluster.View, err error) {
		if err != nil || e.Knowledge < cluster.Complete {
			return // [SYS/TEMP]
		}
		if _, ok := e.Find(typeProfile, profileID); !ok {
			c.unknown(n, u, &e, begun)
			return
		}
		shown, waiting, ok := make(map[cluster.NodeID][]string), 0, true
		finish := func() {
			if waiting > 0 || !ok {
				return
			}
			c.w.check.shown(n, u, view, shown, begun)
			if remove {
				c.remove(n, u, shown)
			}
		}
		for _, f := range e.Fragments {
			if f.Type != typeMessage {
				continue
			}
			home := f.Holders[0]
			waiting++
			n.call(home, &request{method: methodList, owner: u.name}, func(a *answer) {
				waiting--
				ok = ok && a.err == nil
				shown[home] = a.ids
				finish()
			})
		}
		finish()
	})
}

// remove deletes what was shown.
func (c *clients) remove(n *node, u *user, shown map[cluster.NodeID][]string) {
	homes := make([]cluster.NodeID, 0, len(shown))
	for home := range shown {
		homes = append(homes, home)
	}
	slices.Sort(homes)
	for _, home := range homes {
		for _, id := range shown[home] {
			c.removed[id] = true // from now on it may be gone, acknowledged already or not
		}
		n.call(home, &request{method: methodDelete, owner: u.name, ids: shown[home]}, func(*answer) {})
	}
}

package sim

import (
	"fmt"
	"slices"
	"time"
	"weak"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/softstate"
)

// check watches a run. Its methods are called by the shell where something could go wrong; each
// invariant is a function that says what is wrong, or nothing.
type check struct {
	w        *World
	failure  *Failure
	views    map[cluster.Epoch]seenView // M1: the first of each epoch seen
	highest  map[cluster.NodeID]cluster.Epoch
	previous map[cluster.NodeID]*cluster.View
	showings int                       // of mailboxes, whole
	told     map[telling]cluster.Epoch // S2: markers taken, for the buckets of users
	buckets  [cluster.BucketCount]bool // those of users
	clocks   map[cluster.NodeID]int64  // R3: the last timestamp that each node gave
}

// seenView is a view that was installed. A run has many, so their maps are not kept.
type seenView struct {
	view weak.Pointer[cluster.View]
	sum  uint64
}

// telling names a marker: who told whom all of which bucket.
type telling struct {
	to, from cluster.NodeID
	bucket   cluster.Bucket
}

func (c *check) init(w *World) {
	c.w = w
	c.views = make(map[cluster.Epoch]seenView)
	c.highest = make(map[cluster.NodeID]cluster.Epoch)
	c.previous = make(map[cluster.NodeID]*cluster.View)
	c.told = make(map[telling]cluster.Epoch)
	c.clocks = make(map[cluster.NodeID]int64)
}

// that fails the run if text is not empty. The first failure counts.
func (c *check) that(invariant, text string) {
	if text == "" || c.failure != nil {
		return
	}
	c.failure = &Failure{
		Seed:      c.w.opt.Seed,
		Break:     c.w.given,
		Dense:     c.w.opt.Dense,
		Days:      c.w.opt.Days,
		Sparse:    c.w.opt.Sparse,
		Machines:  c.w.opt.Machines,
		Only:      c.w.opt.Only,
		Invariant: invariant,
		At:        time.Duration(c.w.now),
		Text:      text,
		Last:      c.w.trace.tail(),
	}
}

// installed is called when a node has installed a view.
func (c *check) installed(n *node, v *cluster.View, done softstate.Installed, owedBefore int) {
	if n.disk.destroyed {
		return // an old copy that was put back: nobody may listen to it
	}
	if _, ok := c.views[v.Epoch]; !ok {
		c.w.stats.Epochs++
		c.that("M3", c.largestGoesOn(v))
		c.that("M3", mapBalanced(v))
	}
	c.that("M1", c.oneViewAnEpoch(v))
	c.that("M2", c.epochGrows(n, v))
	old := c.previous[n.id]
	c.previous[n.id] = v
	if old == nil || old.Epoch.Counter == 0 || n.reporter == nil {
		return
	}
	c.that("M3", mapMovesLittle(old, v))
	c.that("S3", workFollowsMoves(n, old, v, done, n.reporter.OwedBuckets()-owedBefore))
}

// oneViewAnEpoch is M1: two views of one epoch have the same members and the same map.
func (c *check) oneViewAnEpoch(v *cluster.View) string {
	old, ok := c.views[v.Epoch]
	if !ok {
		c.views[v.Epoch] = seenView{weak.Make(v), sumOfView(v)}
		return ""
	}
	if old.view.Value() != v && old.sum != sumOfView(v) {
		return fmt.Sprintf("two views of epoch %v, the second of %v", v.Epoch, v.IDs())
	}
	return ""
}

// sumOfView is a sum of a view's members and map.
func sumOfView(v *cluster.View) uint64 {
	const prime = 0x9E3779B97F4A7C15
	sum := uint64(len(v.Members))
	mix := func(x uint64) { sum = (sum ^ x ^ sum>>29) * prime }
	for _, m := range v.Members {
		mix(uint64(m.ID))
		mix(m.Since.Counter)
		mix(uint64(m.Since.Coordinator))
		for _, text := range [...]string{m.Name, m.Addr} {
			for i := range len(text) {
				mix(uint64(text[i]))
			}
		}
	}
	for i := range v.Map {
		mix(uint64(v.Map[i].Manager))
		mix(v.Map[i].Epoch.Counter)
		mix(uint64(v.Map[i].Epoch.Coordinator))
	}
	return sum
}

// epochGrows is M2: a node's epoch never decreases, across restarts too.
func (c *check) epochGrows(n *node, v *cluster.View) string {
	old := c.highest[n.id]
	c.highest[n.id] = v.Epoch
	if v.Epoch.Compare(old) <= 0 {
		return fmt.Sprintf("%v installed epoch %v after %v", n, v.Epoch, old)
	}
	if !v.Contains(n.id) {
		return fmt.Sprintf("%v installed a view without itself: %v", n, v.IDs())
	}
	return ""
}

// mapBalanced is M3: every bucket has one manager, a member, and members have floor or ceil of
// the buckets.
func mapBalanced(v *cluster.View) string {
	if len(v.Map) != cluster.BucketCount {
		return fmt.Sprintf("epoch %v has a map of %d buckets", v.Epoch, len(v.Map))
	}
	count := make(map[cluster.NodeID]int, len(v.Members))
	for _, a := range v.Map {
		count[a.Manager]++
	}
	floor := cluster.BucketCount / len(v.Members)
	total := 0
	for _, m := range v.Members {
		if n := count[m.ID]; n < floor || n > floor+1 {
			return fmt.Sprintf("epoch %v gives %v of %d members %d buckets", v.Epoch, m.ID, len(v.Members), n)
		}
		total += count[m.ID]
	}
	if total != cluster.BucketCount {
		return fmt.Sprintf("epoch %v has buckets managed by strangers", v.Epoch)
	}
	return ""
}

// mapMovesLittle is M3: one member more or less moves at most ceil(B/N) buckets.
func mapMovesLittle(old, v *cluster.View) string {
	stayed, gone, came := 0, 0, 0
	for _, m := range old.Members {
		if now, ok := v.Member(m.ID); !ok {
			gone++
		} else if now.Since == m.Since {
			stayed++
		}
	}
	came = len(v.Members) - stayed
	if gone+came != 1 || stayed == 0 {
		return ""
	}
	moved := 0
	for b := range v.Map {
		if e := v.Map[b].Epoch; old.Epoch.Less(e) && e != v.Epoch {
			return "" // there was a view between the two
		}
		if v.Map[b].Manager != old.Map[b].Manager {
			moved++
		}
	}
	n := max(len(old.Members), len(v.Members))
	if limit := (cluster.BucketCount + n - 1) / n; moved > limit {
		return fmt.Sprintf("epoch %v moves %d buckets for one change among %d nodes, want at most %d", v.Epoch, moved, n, limit)
	}
	return ""
}

// largestGoesOn is M3: a view continues the one that most of its members come from, so that a
// merger costs the smaller side its soft state and not the larger. A bad way between the
// coordinator and the members may keep it from that view.
func (c *check) largestGoesOn(v *cluster.View) string {
	maker := c.w.byID[v.Epoch.Coordinator]
	if c.w.net.loss > 0.05 || c.w.net.jitter > 100*time.Millisecond || len(v.Members) == 1 { // alone: voted out, all is void
		return ""
	}
	kept, largest := 0, 0
	from := make(map[cluster.Epoch]int)
	for _, m := range v.Members {
		if m.Since.Less(v.Epoch) {
			kept++
		}
		x := c.w.byID[m.ID]
		if x.paused || x.out || x.blocked || x.slow > 0 || c.w.net.links[maker.index][x.index].cut+c.w.net.links[x.index][maker.index].cut > 0 {
			return ""
		}
		if old := c.previous[m.ID]; x.up() && old != nil && old.Contains(m.ID) {
			from[old.Epoch]++
			largest = max(largest, from[old.Epoch])
		}
	}
	if kept < largest {
		return fmt.Sprintf("epoch %v goes on with %d of its members, but %d come from one view", v.Epoch, kept, largest)
	}
	return ""
}

// workFollowsMoves is S3: a node scans again, and a manager starts over, no more than moved.
func workFollowsMoves(n *node, old, v *cluster.View, done softstate.Installed, owedMore int) string {
	before, _ := old.Member(n.id)
	now, _ := v.Member(n.id)
	if before.Since != now.Since {
		return ""
	}
	moved, toMe := 0, 0
	for b := range v.Map {
		if v.Map[b] != old.Map[b] {
			moved++
			if v.Map[b].Manager == n.id {
				toMe++
			}
		}
	}
	if owedMore > moved || done.Fresh > toMe {
		return fmt.Sprintf("%v owes %d more buckets and starts %d anew in epoch %v, which moved %d (%d to it)",
			n, owedMore, done.Fresh, v.Epoch, moved, toMe)
	}
	return ""
}

// acceptedPush is M4: a push is taken only in its own epoch.
func (c *check) acceptedPush(n *node, p *softstate.Push, err error) {
	if err != nil {
		return
	}
	if v := n.view(); p.Epoch != v.Epoch {
		c.that("M4", fmt.Sprintf("%v took a push of epoch %v in epoch %v", n, p.Epoch, v.Epoch))
	}
	for _, b := range p.Complete {
		if c.buckets[b] {
			c.told[telling{n.id, p.From, b}] = p.Epoch
		}
	}
}

// untold is S2: a bucket is complete only when every member has told all of it, since the bucket
// was assigned and in its present stay.
func (c *check) untold(n *node, b cluster.Bucket) string {
	v := n.view()
	for _, m := range v.Members {
		at := c.told[telling{n.id, m.ID, b}]
		if at.Less(v.Map[b].Epoch) || at.Less(m.Since) {
			return fmt.Sprintf("%v takes bucket %d, assigned in %v, for complete, but %v, a member since %v, told it last in %v",
				n, b, v.Map[b].Epoch, c.w.byID[m.ID], m.Since, at)
		}
	}
	return ""
}

// lookup is S2: what a complete bucket says covers what the members hold, as far as they are in
// the same epoch and have told all.
func (c *check) lookup(n *node, owner string, e *cluster.Entry) {
	if e.Knowledge == cluster.Partial || n.disk.destroyed {
		return
	}
	v := n.view()
	c.that("S2", c.untold(n, c.w.id.BucketOf(owner)))
	for _, m := range v.Members {
		x := c.w.byID[m.ID]
		if x != nil && x.up() && !x.disk.destroyed && x.view().Epoch == v.Epoch && !x.reporter.Owes(owner) && x.open[owner] == 0 {
			c.that("S2", covers(n, e, x, x.disk.holding(owner)))
		}
	}
	for _, f := range e.Fragments {
		for _, h := range f.Holders {
			if !v.Contains(h) {
				c.that("S2", fmt.Sprintf("%v refers %s to %v, which is no member", n, owner, h))
			}
		}
	}
}

// covers says what of a holding the entry lacks.
func covers(n *node, e *cluster.Entry, x *node, h cluster.Holding) string {
	for _, f := range h.Fragments {
		if !slices.ContainsFunc(e.Fragments, func(p cluster.Placed) bool {
			return p.Type == f.Type && p.Replicas.Equal(f.Replicas) && slices.Contains(p.Holders, x.id)
		}) {
			return fmt.Sprintf("%v says %v of %s without the fragment at %v", n, e.Knowledge, e.Owner, x)
		}
	}
	for _, o := range h.Cached {
		if !slices.ContainsFunc(e.Cached, func(c cluster.CachedObject) bool {
			return c.Object.ID == o.Object.ID && c.Object.Timestamp.Compare(o.Object.Timestamp) >= 0
		}) {
			return fmt.Sprintf("%v says %v of %s without the profile at %v", n, e.Knowledge, e.Owner, x)
		}
	}
	return ""
}

// refused is V1: never 550 for a user that exists.
func (c *check) refused(n *node, u *user, begun int64) {
	if !u.exists || n.disk.destroyed || u.created >= begun || c.w.oracle.lost[u.profile()] {
		return
	}
	o := c.w.oracle.newest[u.profile()]
	c.that("V1", fmt.Sprintf("%v says that %s does not exist; it was created at %v and lies on %v",
		n, u.name, time.Duration(u.created), c.w.names(o.Replicas)))
}

// shown is V2: a mailbox is shown whole, as far as the nodes that hold it are members. A message
// is expected if all members among its replicas had it on disk when the listing began; one
// that was moved since may be missed.
func (c *check) shown(n *node, u *user, v *cluster.View, list []listed, begun int64) {
	c.showings++
	if n.view() != v || n.disk.destroyed {
		return
	}
	there := make(map[cluster.ObjectID]bool, len(list))
	for _, m := range list {
		there[m.object.ID] = true
		if m.object.ID.Owner != u.name {
			c.that("D8", fmt.Sprintf("%v shows %s of %s to %s", n, m.object.ID.ID, m.object.ID.Owner, u.name))
		}
	}
	var missed []cluster.ObjectID
	for id, m := range u.kept {
		if m.acked < begun && !there[id] && !c.w.oracle.lost[id] && c.visible(id, v, begun) {
			missed = append(missed, id)
		}
	}
	if len(missed) > 0 {
		id := slices.MinFunc(missed, cluster.ObjectID.Compare)
		c.that("V2", fmt.Sprintf("%v shows the mailbox of %s without %s, which lies on %v", n, u.name, id.ID,
			c.w.names(c.w.oracle.newest[id].Replicas)))
	}
}

// visible reports whether whoever lists in that view must have seen a message.
func (c *check) visible(id cluster.ObjectID, v *cluster.View, begun int64) bool {
	o := c.w.oracle.newest[id]
	if o.Timestamp.Time > start.UnixNano()+begun {
		return false // it was moved meanwhile
	}
	any := false
	for _, r := range o.Replicas {
		if !v.Contains(r) {
			continue
		}
		x := c.w.byID[r]
		if !x.up() || x.view().Epoch != v.Epoch || x.disk.destroyed {
			return false
		}
		s := x.disk.objects[id]
		if s == nil || s.object.Timestamp != o.Timestamp || s.since >= begun {
			return false
		}
		any = true
	}
	return any
}

// stamped is R3: the timestamps that a node gives grow, across its restarts too.
func (c *check) stamped(n *node, t cluster.Timestamp) {
	if last := c.clocks[n.id]; t.Time <= last && !n.disk.destroyed {
		c.that("R3", fmt.Sprintf("%v gives timestamp %v after %v", n, t.Time, last))
	}
	c.clocks[n.id] = t.Time
}

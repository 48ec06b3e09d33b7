package part

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/softstate"
	"porcupine/internal/cluster/wire/call"
	"porcupine/internal/eval"
	"porcupine/internal/eval/plot"
)

// The papers' sizes, and what they make for their mean of fragments.
const (
	paperUser      = 76 // bytes
	paperFragment  = 44
	paperFragments = 1.7 // of a user: 50 MB for 333,000 users
)

// memoryNodes is how many nodes hold users' objects.
const memoryNodes = 30

// memory fills a manager as pushes fill it, and counts what the heap has grown by.
func memory(ctx context.Context, env eval.Env) (r eval.Result, err error) {
	users := pick(env, 100_000, 1_000_000)
	type variant struct {
		name            string
		copies, profile int
		published       bool
	}
	variants := []variant{
		{"one copy, no profile", 1, 0, true},
		{"two copies, no profile", 2, 0, false},
		{"two copies, profile of 200 bytes", 2, attrSize, false},
	}
	published := paperUser + paperFragment*paperFragments
	t := eval.Table{Title: "memory of a manager's soft state", Corner: "what it knows of a user", Columns: []string{"bytes a user", "MB for a million", "of them estimated by the manager"}}
	bars := plot.Bars{Title: "Memory of a manager's soft state", Note: fmt.Sprintf("%d users with %.1f fragments each, in the mean", users, paperFragments),
		X: "what it knows of a user", Y: plot.Axis{Label: "memory", Unit: "bytes a user"}, Series: []plot.BarSeries{{Whose: plot.Published}, {Whose: plot.Measured}}}
	var first, last float64
	for _, v := range variants {
		if err := ctx.Err(); err != nil {
			return r, err
		}
		heap, estimate, err := fillManager(users, v.copies, v.profile)
		if err != nil {
			return r, err
		}
		each := float64(heap) / float64(users)
		env.Progress("%s: %.0f bytes a user", v.name, each)
		cell, paper := eval.Measured(each), eval.None()
		if v.published {
			cell, paper = eval.Both(published, each), eval.Value(published)
			first = each
		}
		last = each
		t.Rows = append(t.Rows, eval.Row{Label: v.name, Cells: []eval.Cell{cell, eval.Measured(each), eval.Measured(float64(estimate) / float64(users))}})
		bars.Groups = append(bars.Groups, v.name)
		bars.Series[0].Values = append(bars.Series[0].Values, float64(paper))
		bars.Series[1].Values = append(bars.Series[1].Values, each)
	}
	r.Tables = []eval.Table{t}
	r.Notes = []string{
		"The heap of the process after a collection of garbage, less what it was before. The papers: 76 bytes a user and 44 a fragment.",
		fmt.Sprintf("A profile of %d bytes takes %.0f bytes: the object's record with its sum and timestamp, the reference of each member that has it, and the profile itself.", attrSize, last-first),
	}
	r.Checks = []eval.Check{eval.Checked(first <= 2*published, "at most twice the papers' memory for what the papers keep", "%.0f bytes a user, published %.0f", first, published)}
	r.Figures = []eval.Figure{{Name: "memory", Drawing: &bars}}
	return r, nil
}

// fillManager gives a manager of all buckets so many users and tells by how much the heap has grown, and what the manager takes its
// own size to be.
func fillManager(users, copies, profile int) (heap, estimate int64, err error) {
	v := &cluster.View{Epoch: cluster.Epoch{Counter: 1, Coordinator: 1}}
	for i := range memoryNodes {
		v.Members = append(v.Members, cluster.Member{Endpoint: cluster.Endpoint{ID: cluster.NodeID(i + 1)}, Since: v.Epoch})
	}
	for range cluster.BucketCount {
		v.Map = append(v.Map, cluster.Assignment{Manager: 1, Epoch: v.Epoch})
	}
	clock := time.Unix(1_800_000_000, 0)
	before := liveHeap()
	m := softstate.NewManager(1, clusterID())
	m.Install(v, clock)
	rng := rand.New(rand.NewPCG(1, 1))
	pending := make([][]cluster.Holding, memoryNodes)
	flush := func(node int) error {
		q := call.PushRequest{Epoch: v.Epoch, Holdings: pending[node]}
		var read call.PushRequest // what comes from the wire shares nothing
		if err := read.Unmarshal(q.Marshal()); err != nil {
			return err
		}
		pending[node] = pending[node][:0]
		return m.Receive(&softstate.Push{From: cluster.NodeID(node + 1), Epoch: read.Epoch, Holdings: read.Holdings}, clock)
	}
	for i := range users {
		for node, h := range holdingsOf(i, copies, profile, rng) {
			if pending[node] = append(pending[node], h); len(pending[node]) == softstate.PushHoldingsMax {
				if err := flush(node); err != nil {
					return 0, 0, err
				}
			}
		}
	}
	for node := range pending {
		if err := flush(node); err != nil {
			return 0, 0, err
		}
	}
	pending = nil
	heap = liveHeap() - before
	c := m.Counts()
	if c.Owners != int64(users) {
		return 0, 0, fmt.Errorf("the manager knows %d users, want %d", c.Owners, users)
	}
	return heap, c.Bytes, nil
}

// holdingsOf gives what nodes (from 0) hold of a user: one fragment, or two with a chance that makes 1.7 in the mean, and a profile where
// the first fragment is.
func holdingsOf(user, copies, profile int, rng *rand.Rand) map[int]cluster.Holding {
	name := fmt.Sprintf("user%d@example.test", user)
	held := map[int]cluster.Holding{}
	fragments := 1
	if rng.Float64() < paperFragments-1 {
		fragments = 2
	}
	for k := range fragments {
		var nodes []cluster.NodeID
		first := rng.IntN(memoryNodes)
		for c := range copies {
			nodes = append(nodes, cluster.NodeID((first+c*7)%memoryNodes+1))
		}
		set := cluster.NewReplicaSet(nodes...)
		for _, id := range set {
			h := held[int(id-1)]
			h.Owner, h.Seq = name, uint64(user+1)
			if !holds(h, set) {
				h.Fragments = append(h.Fragments, cluster.Fragment{Type: messageType, Replicas: set, Count: 3, Bytes: 14100})
			}
			if k == 0 && profile > 0 {
				h.Cached = append(h.Cached, cluster.CachedObject{
					Object:   cluster.Object{ID: cluster.ObjectID{Type: profileType, Owner: name, ID: "profile"}, Timestamp: cluster.Timestamp{Time: 1, Node: 1}, Replicas: set, Size: int64(profile)},
					Contents: []byte(strings.Repeat("p", profile)),
				})
			}
			held[int(id-1)] = h
		}
	}
	return held
}

// holds reports whether a fragment on that set is in the holding.
func holds(h cluster.Holding, set cluster.ReplicaSet) bool {
	for _, f := range h.Fragments {
		if f.Replicas.ContainsAll(set) && set.ContainsAll(f.Replicas) {
			return true
		}
	}
	return false
}

// liveHeap is what is on the heap and in use. What a first collection frees the second has swept.
func liveHeap() int64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}

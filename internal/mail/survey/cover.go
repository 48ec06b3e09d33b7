package survey

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// listing is what one node holds of a user.
type listing struct {
	node    cluster.NodeID
	objects []cluster.Object
}

// answer is what the nodes said to a question.
type answer struct {
	question question
	lists    []listing
}

var errNoHolder = errors.New("no member holds it any more")

// listAll lists all fragments of the user: a cover of nodes at once, and for what a node that
// failed was asked for, another cover of the rest. It fails if a fragment has no holder left (V2).
// A witness that does not answer is missed by nobody.
func (s *Survey) listAll(ctx context.Context, e *cluster.Entry) (answer, error) {
	op := "list mail of " + e.Owner
	view := s.cluster.View()
	q := ask(e, view, s.tenure.newcomers(view, time.Now()))
	open := slices.Clone(q.fragments)
	var done []listing
	var failed []cluster.NodeID
	witnesses := q.witnesses
	lastErr := errNoHolder
	for len(open) > 0 {
		nodes := cover(open, failed, s.cluster.ID(), s.cluster.Pending)
		if nodes == nil {
			return answer{}, cluster.Errorf(cluster.KindUnavailable, op, "%w", lastErr)
		}
		for _, id := range witnesses {
			if !slices.Contains(nodes, id) {
				nodes = append(nodes, id)
			}
		}
		witnesses = nil
		lists, errs := s.listEach(ctx, e.Owner, nodes)
		for i, err := range errs {
			if err != nil {
				failed, lastErr = append(failed, nodes[i]), err
				continue
			}
			done = append(done, lists[i])
			open = slices.DeleteFunc(open, func(f cluster.Placed) bool { return slices.Contains(f.Holders, nodes[i]) })
		}
	}
	return answer{q, done}, nil
}

// listEach asks the nodes, listsMax at once.
func (s *Survey) listEach(ctx context.Context, owner string, nodes []cluster.NodeID) ([]listing, []error) {
	lists := make([]listing, len(nodes))
	errs := make([]error, len(nodes))
	list := func(i int) {
		lists[i].node = nodes[i]
		lists[i].objects, errs[i] = s.cluster.List(ctx, nodes[i], owner, mail.TypeMessage)
	}
	if len(nodes) == 1 { // the usual case needs no goroutine
		list(0)
		return lists, errs
	}
	slots := make(chan struct{}, s.listsMax)
	var wg sync.WaitGroup
	for i := range nodes {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			list(i)
		})
	}
	wg.Wait()
	return lists, errs
}

// cover picks few nodes that hold all the fragments between them, none of those excluded: the
// one that holds the most fragments not yet covered, and so on; this node rather than another,
// then the least loaded by what pending tells, then the lowest id. It gives nil if a fragment has
// no holder left.
func cover(fragments []cluster.Placed, exclude []cluster.NodeID, self cluster.NodeID, pending func(cluster.NodeID) int) []cluster.NodeID {
	open := slices.Clone(fragments)
	var nodes []cluster.NodeID
	for len(open) > 0 {
		counts := make(map[cluster.NodeID]int)
		var candidates []cluster.NodeID
		for _, f := range open {
			for _, id := range f.Holders {
				if slices.Contains(exclude, id) {
					continue
				}
				if counts[id]++; counts[id] == 1 {
					candidates = append(candidates, id)
				}
			}
		}
		if len(candidates) == 0 {
			return nil
		}
		slices.Sort(candidates)
		best := slices.MaxFunc(candidates, func(a, b cluster.NodeID) int {
			if c := counts[a] - counts[b]; c != 0 {
				return c
			}
			return cmp.Or(weight(a == self)-weight(b == self), pending(b)-pending(a))
		})
		nodes = append(nodes, best)
		open = slices.DeleteFunc(open, func(f cluster.Placed) bool { return slices.Contains(f.Holders, best) })
	}
	return nodes
}

func weight(b bool) int {
	if b {
		return 1
	}
	return 0
}

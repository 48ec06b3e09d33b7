// Package survey finds out what mail a user has, and where it lies (Porcupine §3.6): of the mail map it
// asks one live node of each fragment for its messages, rather not one that has just come back, and
// merges the answers. A fragment without a live holder is left out: it is there again when its nodes are.
// A member that holds a fragment and does not answer is an error: a part is never shown for the whole
// (V2).
//
// A message that was stored twice, because a delivery could not know that it had succeeded, has one id
// in both places: it is one message, and all that have a copy must hear of its deletion (D6).
package survey

import (
	"context"
	"io"
	"log/slog"
	"time"

	"porcupine/internal/cluster"
)

// substrate is what a survey needs of the node.
type substrate interface {
	ID() cluster.NodeID
	View() *cluster.View
	// Pending gives the durable commits that a node has to do, as last heard.
	Pending(id cluster.NodeID) int
	List(ctx context.Context, on cluster.NodeID, owner string, t cluster.ObjectType) ([]cluster.Object, error)
}

// ListsMax is how many listings of one survey run at once, unless New is told otherwise.
const ListsMax = 8

// Survey lists users' mail. It is safe for concurrent use.
type Survey struct {
	cluster  substrate
	listsMax int
	tenure   tenure
}

// New makes a Survey; listsMax of 0 is ListsMax.
func New(node substrate, listsMax int) *Survey {
	if listsMax <= 0 {
		listsMax = ListsMax
	}
	return &Survey{cluster: node, listsMax: listsMax}
}

// Message is one message and where it lies.
type Message struct {
	Object  cluster.Object     // its newest version
	Holders []cluster.NodeID   // that listed it: those to read it from first
	Nodes   cluster.ReplicaSet // all that may have it, and must hear of its deletion
}

// Listing is what a survey found.
type Listing struct {
	Messages []Message // ascending by id, none twice
	// Asked are the nodes that answered and have been members for a while: what lies on one of them, by
	// its replica set, and is not in the listing, is gone.
	Asked cluster.ReplicaSet
}

// List lists the messages of an entry that are newer than the floor. KindUnavailable: a fragment has
// holders, and none of them answers (V2).
func (s *Survey) List(ctx context.Context, e *cluster.Entry, floor cluster.Timestamp) (Listing, error) {
	a, err := s.listAll(ctx, e)
	if err != nil {
		return Listing{}, err
	}
	return a.merge(floor), nil
}

// Newcomers gives the members that have come just now: their disks may lack what was stored while they
// were away, and have what was deleted.
func (s *Survey) Newcomers() cluster.ReplicaSet {
	return s.tenure.newcomers(s.cluster.View(), time.Now())
}

// Reading is one message on its way from node to node, until one has a whole copy (D5).
type Reading struct {
	Op     string
	Logger *slog.Logger
	tried  []cluster.NodeID
	failed error
}

// Try opens the message at the nodes in their order, but for those that were tried before. nil: none has it.
func (r *Reading) Try(nodes []cluster.NodeID, open func(cluster.NodeID) (io.ReadCloser, error)) io.ReadCloser {
	for _, node := range nodes {
		if r.wasTried(node) {
			continue
		}
		r.tried = append(r.tried, node)
		body, err := open(node)
		if err == nil {
			return body
		}
		// It is gone only if all say so: a node that cannot be asked may have it.
		if r.failed == nil || cluster.IsKind(r.failed, cluster.KindNotFound) {
			r.failed = err
		}
		if cluster.IsKind(err, cluster.KindCorrupt) {
			r.Logger.Warn("a damaged copy of a message was passed over", "reading", r.Op, "node", node, "err", err)
		}
	}
	return nil
}

func (r *Reading) wasTried(node cluster.NodeID) bool {
	for _, id := range r.tried {
		if id == node {
			return true
		}
	}
	return false
}

// Err says why no node has given the message. KindNotFound: all say that it is gone. KindUnavailable:
// one cannot be asked now. KindCorrupt: no copy is whole.
func (r *Reading) Err() error {
	if r.failed == nil {
		return cluster.Errorf(cluster.KindUnavailable, r.Op, "it is not known where it lies")
	}
	return cluster.Errorf(cluster.KindOf(r.failed), r.Op, "%w", r.failed)
}

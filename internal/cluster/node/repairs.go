package node

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/softstate"
)

// What was lost with struck nodes and is known to be made up for (softstate.Repaired) is remembered over
// restarts: a manager that forgot it could prove nothing while a node is away, though nothing is missing.
//
// repairsName is the store's name of it. Its value is one byte, the version of the format, and both sets:
// the number of nodes, as an unsigned varint, and eight bytes for each, big-endian and ascending.
const (
	repairsName    = "repaired"
	repairsVersion = 1
)

// Times of the watch.
const (
	repairsEvery = time.Second // between two looks at who is there
	repairsRetry = time.Minute // after a write that failed
)

// repairs is what the loop knows of it. What is durable may be older than what is known: it said no more then
// than was true, and is looked at again when it is loaded (softstate.Repairs).
type repairs struct {
	*softstate.Repairs
	watched time.Time
	durable softstate.Repaired
	writing bool
	retry   time.Time // no write before
}

// loadRepairs gives what an earlier process knew. Without it the node watches anew, so what is damaged,
// or of a newer program, is no reason not to start.
func loadRepairs(n *Node) (repairs, error) {
	var known softstate.Repaired
	value, err := n.cfg.Store.Meta(repairsName)
	if err == nil {
		known, err = parseRepaired(value)
	}
	switch {
	case cluster.IsKind(err, cluster.KindCorrupt):
		n.log.Warn("what was known of the repairs after nodes were struck cannot be read: it is found out anew, and until then "+
			"nothing is proven while a node is away", "takes", softstate.RepairTime, "err", err)
	case err != nil && !cluster.IsKind(err, cluster.KindNotFound):
		return repairs{}, fmt.Errorf("repairs after nodes were struck: %w", err)
	}
	return repairs{Repairs: softstate.NewRepairs(known), durable: known}, nil
}

// watchRepairs looks at who is there.
func (l *loop) watchRepairs() (changed bool) {
	l.repairs.watched = l.now()
	return l.repairs.Watch(l.members.View(), l.struck, l.repairs.watched)
}

// tickRepairs looks again now and then, and remembers what is new.
func (l *loop) tickRepairs(now time.Time) {
	if len(l.struck) == 0 {
		return
	}
	if now.Sub(l.repairs.watched) >= repairsEvery && l.watchRepairs() {
		l.known()
	}
	l.rememberRepairs(now)
}

// rememberRepairs makes durable what is known, unless that is nothing. The loop does not wait: it may be lost.
func (l *loop) rememberRepairs(now time.Time) {
	known := l.repairs.Repaired()
	if l.repairs.writing || len(known.By) == 0 || known.Equal(l.repairs.durable) || now.Before(l.repairs.retry) {
		return
	}
	l.repairs.writing = l.n.async(func(ctx context.Context) {
		err := l.n.cfg.Store.PutMeta(ctx, repairsName, appendRepaired(nil, known))
		l.n.answer(func(l *loop) { l.remembered(known, err) })
	})
}

// remembered ends a write.
func (l *loop) remembered(known softstate.Repaired, err error) {
	l.repairs.writing = false
	if err != nil {
		l.repairs.retry = l.now().Add(repairsRetry)
		l.n.log.Warn("what is known of the repairs after nodes were struck is not durable; it is tried again", "err", err)
		return
	}
	l.repairs.durable = known
}

func appendRepaired(b []byte, r softstate.Repaired) []byte {
	b = append(b, repairsVersion)
	for _, set := range [...]cluster.ReplicaSet{r.Struck, r.By} {
		b = binary.AppendUvarint(b, uint64(len(set)))
		for _, id := range set {
			b = binary.BigEndian.AppendUint64(b, uint64(id))
		}
	}
	return b
}

func parseRepaired(b []byte) (r softstate.Repaired, err error) {
	if len(b) == 0 || b[0] != repairsVersion {
		return r, cluster.Errorf(cluster.KindCorrupt, "parse repairs", "unknown format, this program knows version %d", repairsVersion)
	}
	b = b[1:]
	for _, set := range [...]*cluster.ReplicaSet{&r.Struck, &r.By} {
		count, size := binary.Uvarint(b)
		if size <= 0 || count > uint64(len(b)-size)/8 {
			return softstate.Repaired{}, cluster.Errorf(cluster.KindCorrupt, "parse repairs", "it ends in the middle of a set")
		}
		ids := make([]cluster.NodeID, 0, count)
		for b = b[size:]; uint64(len(ids)) < count; b = b[8:] {
			ids = append(ids, cluster.NodeID(binary.BigEndian.Uint64(b)))
		}
		*set = cluster.NewReplicaSet(ids...)
	}
	if len(b) > 0 {
		return softstate.Repaired{}, cluster.Errorf(cluster.KindCorrupt, "parse repairs", "%d bytes follow it", len(b))
	}
	return r, nil
}

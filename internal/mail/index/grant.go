package index

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"hash/fnv"
	"io"
	"sync/atomic"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/uidledger"
)

// methodGrant is how a manager asks a ledger replica.
const methodGrant = "mail.ledger.grant"

// grantLocks is how many requests are decided at once. One user's folder always has the same lock.
const grantLocks = 64

// grants answers as a ledger replica (uidledger.Decide): its ceilings for a folder lie in an object that
// it alone has. Requests of one folder are decided one after another, each AFTER the one before is
// durable: that serialises the numbers of all managers there are, whatever they believe.
type grants struct {
	cluster  substrate
	wait     time.Duration
	locks    [grantLocks]chan struct{} // each holds one element while it is taken
	answered atomic.Int64
}

func newGrants(node substrate, wait time.Duration) *grants {
	g := &grants{cluster: node, wait: wait}
	for i := range g.locks {
		g.locks[i] = make(chan struct{}, 1)
	}
	return g
}

// A request on the wire: the length of the user's name in two octets, the name, the folder's id, and the
// request itself.
const grantHeader = 2 + len(mail.FolderID{})

func marshalGrant(u mail.User, f mail.FolderID, r *uidledger.Request) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(len(u)))
	b = append(b, u...)
	b = append(b, f[:]...)
	return append(b, r.Marshal()...)
}

func parseGrant(b []byte) (u mail.User, f mail.FolderID, r uidledger.Request, err error) {
	op := "read a request for numbers"
	if len(b) < grantHeader {
		return u, f, r, cluster.Errorf(cluster.KindInvalid, op, "%d octets", len(b))
	}
	n := int(binary.BigEndian.Uint16(b))
	if n == 0 || n > cluster.OwnerLengthMax || len(b) < grantHeader+n {
		return u, f, r, cluster.Errorf(cluster.KindInvalid, op, "a name of %d octets in %d", n, len(b))
	}
	u = mail.User(b[2 : 2+n])
	copy(f[:], b[2+n:])
	r, err = uidledger.ParseRequest(b[grantHeader+n:])
	return u, f, r, err
}

func (g *grants) serve(ctx context.Context, _ cluster.NodeID, payload []byte) ([]byte, error) {
	u, f, r, err := parseGrant(payload)
	if err != nil {
		return nil, err
	}
	op := "give numbers for " + string(u)
	h := fnv.New32a()
	h.Write(payload[:grantHeader+len(u)]) // never fails
	lock := g.locks[h.Sum32()%grantLocks]
	ctx, cancel := context.WithTimeout(ctx, g.wait)
	defer cancel()
	select {
	case lock <- struct{}{}:
		defer func() { <-lock }()
	case <-ctx.Done():
		return nil, cluster.Errorf(cluster.KindUnavailable, op, "%w", context.Cause(ctx))
	}
	id := grantOf(u, f, g.cluster.ID())
	state, err := g.read(ctx, id)
	var moved cluster.ReplicaSet
	if err == nil && state == nil && isBegun(&r) {
		state, moved, err = g.seek(ctx, u, f, &r)
	}
	if err != nil {
		return nil, cluster.Errorf(cluster.KindOf(err), op, "%w", err)
	}
	next, reply, err := uidledger.Decide(g.cluster.ID(), state, &r)
	if err == nil && next != nil {
		err = g.write(ctx, id, next, moved) // BEFORE the reply goes out
	}
	if err != nil {
		return nil, cluster.Errorf(cluster.KindOf(err), op, "%w", err)
	}
	g.answered.Add(1)
	return reply.Marshal(), nil
}

// read gives the contents of the node's own object; nil: there is none.
func (g *grants) read(ctx context.Context, id cluster.ObjectID) ([]byte, error) {
	_, contents, err := open(ctx, g.cluster, g.cluster.ID(), id)
	if cluster.IsKind(err, cluster.KindNotFound) {
		return nil, nil
	}
	return contents, err
}

// isBegun reports a request of somebody who knows of numbers that were given, or of a vote, which may know of others.
func isBegun(r *uidledger.Request) bool {
	return r.Kind != uidledger.AskDense && r.Kind != uidledger.AskLane || r.IsUsed()
}

// seek looks for the node's own object on other nodes: a node that was drained has moved it there, and has nothing left when the
// drain is taken back. To begin anew then would be to grant the same numbers again (U1). Nobody has any: the node is
// new in the set; or the object lies on a node that is away, if one is and numbers were given: then it goes on above all that it can have
// granted. KindUnavailable: not all members could be asked.
func (g *grants) seek(ctx context.Context, u mail.User, f mail.FolderID, r *uidledger.Request) (state []byte, on cluster.ReplicaSet, err error) {
	view := g.cluster.View()
	id := grantOf(u, f, g.cluster.ID())
	for _, m := range view.Members {
		if m.ID == g.cluster.ID() {
			continue
		}
		_, contents, err := open(ctx, g.cluster, m.ID, id)
		switch {
		case cluster.IsKind(err, cluster.KindNotFound):
			continue
		case err == nil && state != nil:
			contents, err = uidledger.Merge(state, contents)
		}
		if err != nil {
			return nil, nil, cluster.Errorf(cluster.KindUnavailable, "look for what was granted here", "%w", err)
		}
		state, on = contents, append(on, m.ID)
	}
	if state == nil && r.IsUsed() && g.cluster.KnownNodes() > len(view.Members) {
		state, err = g.regain(ctx, u, f, r)
	}
	return state, on, err
}

// regain gives what the node goes on from when its own object may lie on a node that is away (uidledger.Regain).
func (g *grants) regain(ctx context.Context, u mail.User, f mail.FolderID, r *uidledger.Request) ([]byte, error) {
	var others [][]byte
	for _, node := range r.Set.Nodes() {
		if node == g.cluster.ID() {
			continue
		}
		if _, contents, err := open(ctx, g.cluster, node, grantOf(u, f, node)); err == nil { // else it counts as not found: it may be any
			others = append(others, contents)
		}
	}
	return uidledger.Regain(r, others)
}

// grantOf names the object in which a ledger replica keeps what it has granted of a folder.
func grantOf(u mail.User, f mail.FolderID, node cluster.NodeID) cluster.ObjectID {
	return cluster.ObjectID{Type: mail.TypeLedger, Owner: string(u), ID: uidledger.GrantID(f, node)}
}

// open reads a small object whole.
func open(ctx context.Context, node reader, on cluster.NodeID, id cluster.ObjectID) (cluster.Object, []byte, error) {
	o, body, err := node.Open(ctx, on, id)
	if err != nil {
		return o, nil, err
	}
	contents, err := io.ReadAll(io.LimitReader(body, cluster.CachedSizeMax+1))
	if closeErr := body.Close(); err == nil {
		err = closeErr
	}
	return o, contents, err
}

// write makes the node's own object durable here. previous are nodes that need it no more.
func (g *grants) write(ctx context.Context, id cluster.ObjectID, contents []byte, previous cluster.ReplicaSet) error {
	return g.cluster.Update(ctx, cluster.Update{Previous: previous, Object: cluster.Object{ID: id, Replicas: cluster.ReplicaSet{g.cluster.ID()}, Copies: 1,
		Size: int64(len(contents)), Sum: sha256.Sum256(contents)}}, bytes.NewReader(contents))
}

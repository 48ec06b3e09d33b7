package directory

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// methodChange is how a change of a name gets to the name's manager.
const methodChange = "mail.directory.change"

// What a change can be.
const (
	opAdd     = "add"     // a new object; refused if the name is taken
	opReplace = "replace" // new contents for the version in Base
	opRemove  = "remove"  // a tombstone for the version in Base
	opWiden   = "widen"   // the same contents on more nodes
)

// Limits of a change's way.
const (
	changeRoundsMax = 4 // versions that may come between before a change gives up
	placeRoundsMax  = 3 // choices of nodes before a change gives up (place.go)
)

// change is the payload of methodChange.
type change struct {
	Op       string             `json:"op"`
	Type     cluster.ObjectType `json:"type"`
	Owner    string             `json:"owner"`
	Contents []byte             `json:"contents,omitempty"`
	Base     cluster.Timestamp  `json:"base,omitzero"` // of the version that the author saw
}

func (c *change) String() string { return fmt.Sprintf("%s %s %s", c.Op, c.Type, c.Owner) }

func (c *change) check() error {
	switch c.Type {
	case mail.TypeUser, mail.TypeAlias:
		if err := checkCanonical(c.Owner); err != nil {
			return err
		}
	case mail.TypeDomain:
		if name, err := mail.CanonicalDomain(c.Owner); err != nil || name != c.Owner {
			return fmt.Errorf("domain %q is not in canonical form", c.Owner)
		}
	default:
		return fmt.Errorf("objects of type %q are not the directory's", c.Type)
	}
	switch c.Op {
	case opAdd, opReplace:
		return checkRecord(c.Type, c.Contents)
	case opRemove, opWiden:
		return nil
	}
	return fmt.Errorf("change %q is unknown", c.Op)
}

// change sends a change to the manager. again: another change came between.
func (d *Directory) change(ctx context.Context, c change) (again bool, err error) {
	payload, err := json.Marshal(c)
	if err != nil {
		return false, cluster.Errorf(cluster.KindInternal, c.String(), "%w", err)
	}
	raw, err := d.cluster.Ask(ctx, c.Owner, methodChange, payload)
	if err != nil {
		return false, cluster.Errorf(cluster.KindUnavailable, c.String(),
			"%w (it may have taken effect or not: look, and repeat it if need be)", err)
	}
	_, again, err = decodeAnswer(raw)
	return again, err
}

// edit changes an object against the version that is there: make gives the new contents from
// the old ones. If another change comes between, it is called again.
func (d *Directory) edit(ctx context.Context, t cluster.ObjectType, owner string, make func(old []byte) ([]byte, error)) error {
	op := fmt.Sprintf("change %s %s", t, owner)
	for round := 1; ; round++ {
		current, err := d.current(ctx, op, t, owner)
		if err != nil {
			return err
		}
		contents, err := make(current.Contents)
		if err != nil {
			return err
		}
		again, err := d.change(ctx, change{Op: opReplace, Type: t, Owner: owner, Contents: contents, Base: current.Object.Timestamp})
		if err == nil || !again || round == changeRoundsMax {
			return err
		}
	}
}

// remove makes an object a tombstone.
func (d *Directory) remove(ctx context.Context, t cluster.ObjectType, owner string) error {
	op := fmt.Sprintf("remove %s %s", t, owner)
	for round := 1; ; round++ {
		current, err := d.current(ctx, op, t, owner)
		if err != nil {
			return err
		}
		again, err := d.change(ctx, change{Op: opRemove, Type: t, Owner: owner, Base: current.Object.Timestamp})
		if err == nil || !again || round == changeRoundsMax {
			return err
		}
	}
}

// current gives an object as its manager has it. KindNotFound: proven absent.
func (d *Directory) current(ctx context.Context, op string, t cluster.ObjectType, owner string) (cluster.CachedObject, error) {
	p := patience{wait: d.cfg.ResolveWait}
	e, err := d.entry(ctx, &p, owner, t)
	if err != nil {
		return cluster.CachedObject{}, err
	}
	c, ok := e.Find(t, "")
	if !ok {
		return c, absent(op, &e)
	}
	return c, nil
}

// serveChange makes a change at the manager, one at a time for each name.
func (d *Directory) serveChange(ctx context.Context, _ cluster.NodeID, payload []byte) ([]byte, error) {
	var c change
	if err := json.Unmarshal(payload, &c); err != nil {
		return nil, cluster.Errorf(cluster.KindInvalid, "decode directory change", "%w", err)
	}
	if err := c.check(); err != nil {
		return encodeAnswer(nil, false, cluster.Errorf(cluster.KindInvalid, c.String(), "%w", err)), nil
	}
	unlock, err := d.locks.lock(ctx, c.Owner)
	if err != nil {
		return encodeAnswer(nil, false, err), nil
	}
	defer unlock()
	again, err := d.apply(ctx, &c)
	return encodeAnswer(nil, again, err), nil
}

// apply decides on a change and stores it. Preconditions: the name is locked.
func (d *Directory) apply(ctx context.Context, c *change) (again bool, err error) {
	e, ok := d.cluster.LocalEntry(ctx, c.Owner)
	if !ok {
		return true, cluster.Errorf(cluster.KindUnavailable, c.String(), "this node does not manage the name any more: try again")
	}
	old, exists := e.Find(c.Type, "")
	switch {
	case c.Op == opAdd:
		return false, d.applyAdd(ctx, c, &e)
	case !exists && c.Op == opRemove && c.Base.Compare(removedAt(&e, c.Type)) < 0:
		return false, nil // made already: the answer got lost
	case !exists:
		return false, absent(c.String(), &e)
	case c.Op == opWiden:
		return false, d.applyWiden(ctx, c, &e, old)
	case old.Object.Timestamp != c.Base:
		if c.Op == opReplace && bytes.Equal(old.Contents, c.Contents) {
			return false, nil // made already: the answer got lost
		}
		return true, cluster.Errorf(cluster.KindUnavailable, c.String(), "another change came between: try again")
	}
	return false, d.store(ctx, c, &e, old.Object.Replicas, 1)
}

// applyAdd makes a new object. The name must be proven free, and the object must lie on two
// nodes if two are known: then the loss of one proves nothing away (V1).
func (d *Directory) applyAdd(ctx context.Context, c *change, e *cluster.Entry) error {
	for _, t := range []cluster.ObjectType{mail.TypeUser, mail.TypeAlias, mail.TypeDomain} {
		old, ok := e.Find(t, "")
		if !ok {
			continue
		}
		if t == c.Type && bytes.Equal(old.Contents, c.Contents) {
			return nil // made already: the answer got lost
		}
		return cluster.Errorf(cluster.KindExists, c.String(), "there is a %s of that name", t)
	}
	if e.Knowledge != cluster.Conclusive {
		return cluster.Errorf(cluster.KindUnavailable, c.String(),
			"it cannot be proven now that the name is free, since a node is away, or was, or has just started (what is known of the name is %s, not conclusive): try again in a minute; start the nodes that 'porcupine status' shows as absent, or strike those that will not come back with 'porcupine node remove'", e.Knowledge)
	}
	if c.Type == mail.TypeUser {
		if err := checkAfterRemoval(c, e); err != nil {
			return err
		}
	}
	return d.store(ctx, c, e, tombstoneReplicas(e, c.Type), min(2, d.cluster.KnownNodes()))
}

// checkAfterRemoval wants nothing of a former user of the name to be the new one's (A1): no mail is
// left, and what turns up later is older than the new profile allows.
func checkAfterRemoval(c *change, e *cluster.Entry) error {
	if countMessages(e) > 0 {
		return cluster.Errorf(cluster.KindExists, c.String(), "mail of a removed user of that name is still there: repeat the removal first")
	}
	p, err := decodeMailPart(c.Contents)
	if err != nil {
		return cluster.Errorf(cluster.KindInvalid, c.String(), "%w", err)
	}
	if p.MailAfter.Compare(removedAt(e, mail.TypeUser)) < 0 {
		return cluster.Errorf(cluster.KindUnavailable, c.String(), "a user of that name was removed at this moment: try again")
	}
	return nil
}

func tombstoneReplicas(e *cluster.Entry, t cluster.ObjectType) cluster.ReplicaSet {
	for _, o := range e.Cached {
		if o.Object.ID.Type == t && o.Object.ID.ID == "" {
			return o.Object.Replicas
		}
	}
	return nil
}

func countMessages(e *cluster.Entry) (n int64) {
	for _, f := range e.Fragments {
		if f.Type == mail.TypeMessage {
			n += f.Count
		}
	}
	return n
}

// applyWiden stores the same contents on more nodes, if there are more. While a node that holds
// the object is away nothing is done: it is likely to come back.
func (d *Directory) applyWiden(ctx context.Context, c *change, e *cluster.Entry, old cluster.CachedObject) error {
	if !d.isNarrow(d.cluster.View(), &old.Object) {
		return nil
	}
	c.Contents = old.Contents
	return d.store(ctx, c, e, old.Object.Replicas, len(old.Object.Replicas)+1)
}

// isNarrow reports an object that lies on fewer nodes than it could, all of them members.
func (d *Directory) isNarrow(v *cluster.View, o *cluster.Object) bool {
	if o.Deleted || len(o.Replicas) >= min(d.cfg.Copies, len(v.Members)) {
		return false
	}
	return !slices.ContainsFunc(o.Replicas, func(id cluster.NodeID) bool { return !v.Contains(id) })
}

// settle waits until the manager's soft state shows the change, so that whoever was told of it
// finds it (the storing nodes tell the manager by themselves, perhaps a moment later).
func (d *Directory) settle(ctx context.Context, c *change) error {
	p := patience{wait: d.cfg.SettleWait}
	for {
		e, ok := d.cluster.LocalEntry(ctx, c.Owner)
		if ok {
			o, exists := e.Find(c.Type, "")
			if exists != (c.Op == opRemove) && (!exists || bytes.Equal(o.Contents, c.Contents)) {
				return nil
			}
		}
		if !ok || !p.again(ctx) {
			return cluster.Errorf(cluster.KindUnavailable, c.String(), "it is stored, but its manager does not show it yet: look again in a moment")
		}
	}
}

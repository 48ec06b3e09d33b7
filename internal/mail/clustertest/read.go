package clustertest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"

	"porcupine/internal/cluster"
)

// Limits of a page, small, so that tests see several.
const (
	DerivedPage  = 4 // items that Derived gives at once
	PiecesPage   = 4 // items that Pieces gives at once
	ContentsPage = 4 // objects that Contents gives at once
)

// OpenRange opens a part of the contents, cut at their end; a negative length means all the rest.
func (n *Node) OpenRange(ctx context.Context, on cluster.NodeID, id cluster.ObjectID, offset, length int64) (cluster.Object, io.ReadCloser, error) {
	if offset < 0 {
		return cluster.Object{}, nil, cluster.Errorf(cluster.KindInvalid, "open "+id.ID, "offset %d", offset)
	}
	o, r, err := n.Open(ctx, on, id)
	if err != nil {
		return o, nil, err
	}
	contents, err := io.ReadAll(r)
	if err != nil {
		return o, nil, err
	}
	contents = contents[min(offset, o.Size):]
	if length >= 0 && length < int64(len(contents)) {
		contents = contents[:length]
	}
	return o, io.NopCloser(bytes.NewReader(contents)), nil
}

// Pieces reads stretches of the contents of the first of the objects named: some of them, in order.
func (n *Node) Pieces(ctx context.Context, on cluster.NodeID, owner string, t cluster.ObjectType, pieces []cluster.Piece) ([]cluster.Derived, error) {
	var page []cluster.Derived
	for _, p := range pieces[:min(len(pieces), PiecesPage)] {
		var d cluster.Derived
		_, r, err := n.OpenRange(ctx, on, cluster.ObjectID{Type: t, Owner: owner, ID: p.ID}, p.Offset, p.Length)
		switch {
		case cluster.IsKind(err, cluster.KindUnavailable):
			return nil, err
		case err == nil:
			d.Data, err = io.ReadAll(r)
		}
		d.Err = err
		page = append(page, d)
	}
	return page, nil
}

// Derived computes what a node derives from the first of the objects named: some of them, in order.
func (n *Node) Derived(_ context.Context, on cluster.NodeID, owner string, t cluster.ObjectType, ids []string) ([]cluster.Derived, error) {
	n.cluster.mu.Lock()
	defer n.cluster.mu.Unlock()
	node, err := n.cluster.reach("derived", on)
	if err != nil {
		return nil, err
	}
	spec := n.cluster.types[t]
	if spec.Derive == nil {
		return nil, cluster.Errorf(cluster.KindInvalid, "derived", "nothing is derived from type %q", t)
	}
	var page []cluster.Derived
	for _, id := range ids[:min(len(ids), DerivedPage)] {
		var d cluster.Derived
		s, ok := node.objects[cluster.ObjectID{Type: t, Owner: owner, ID: id}]
		switch {
		case !ok || s.object.Deleted:
			d.Err = cluster.Errorf(cluster.KindNotFound, "derived", "no such object")
		case s.damaged:
			d.Err = cluster.Errorf(cluster.KindCorrupt, "derived", "checksum does not match")
		default:
			d = derive(&spec, s.contents)
		}
		page = append(page, d)
	}
	return page, nil
}

func derive(t *cluster.TypeSpec, contents []byte) (d cluster.Derived) {
	defer func() {
		if r := recover(); r != nil {
			d = cluster.Derived{Err: cluster.Errorf(cluster.KindInvalid, "derive", "%v", r)}
		}
	}()
	data, err := t.Derive(bytes.NewReader(contents), int64(len(contents)))
	if err == nil && len(data) > cluster.DerivedSizeMax {
		err = fmt.Errorf("%d bytes", len(data))
	}
	if err != nil {
		return cluster.Derived{Err: cluster.Errorf(cluster.KindInvalid, "derive", "%w", err)}
	}
	return cluster.Derived{Data: slices.Clone(data)}
}

// Contents lists an owner's live objects of an inline type on one node with their contents, those
// after an id, a page at a time.
func (n *Node) Contents(_ context.Context, on cluster.NodeID, owner string, t cluster.ObjectType, after string) (page []cluster.Copy, more bool, err error) {
	n.cluster.mu.Lock()
	defer n.cluster.mu.Unlock()
	node, err := n.cluster.reach("contents", on)
	if err != nil {
		return nil, false, err
	}
	if !n.cluster.types[t].Inline {
		return nil, false, cluster.Errorf(cluster.KindInvalid, "contents", "type %q is not inline", t)
	}
	for _, id := range node.sortedIDs(owner) {
		s := node.objects[id]
		if id.Type != t || s.object.Deleted || after != "" && id.ID <= after {
			continue
		}
		if len(page) == ContentsPage {
			return page, true, nil
		}
		if s.damaged {
			page = append(page, cluster.Copy{Object: cluster.Object{ID: id}, Err: cluster.Errorf(cluster.KindCorrupt, "contents", "checksum does not match")})
			continue
		}
		page = append(page, cluster.Copy{Object: s.object, Contents: slices.Clone(s.contents)})
	}
	return page, false, nil
}

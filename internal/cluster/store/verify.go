package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/store/internal/layout"
)

// Problem is a fault that Verify found.
type Problem struct {
	Kind   cluster.Kind // KindCorrupt for damage, KindInternal for a broken rule of the layout
	Object string       // the record or object concerned, in readable form
	Text   string       // what is wrong
}

func (p Problem) String() string { return fmt.Sprintf("%s: %s: %s", p.Kind, p.Object, p.Text) }

// Verify reads everything, as of one moment, and calls report for each fault: every record and
// checksum, contents against their SHA-256, headers and the state record against a recount,
// contents that belong to no object, update records without their updates, the vault, what is derived
// from contents. It changes nothing, and the store serves meanwhile. Its
// memory does not grow with the store. The error says why it could not go on to the end.
func (s *Store) Verify(ctx context.Context, report func(Problem)) (err error) {
	const name = "verify store"
	if err := s.enter(name); err != nil {
		return err
	}
	defer s.gate.exit()
	snap := s.db.NewSnapshot()
	v := &verifier{s: s, ctx: ctx, snap: snap, report: report}
	err = v.run()
	if err2 := snap.Close(); err == nil {
		err = engineError(err2)
	}
	return within(name, err)
}

type verifier struct {
	s      *Store
	ctx    context.Context
	snap   *pebble.Snapshot
	report func(Problem)
	total  layout.State // recounted
	cut    bool         // not all could be recounted
}

func (v *verifier) run() error {
	for _, step := range []func() error{v.headers, v.objects, v.updates, v.vault, v.oldest, v.bodies, v.chunks, v.derived, v.metas, v.state} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (v *verifier) problem(kind cluster.Kind, object, format string, args ...any) {
	v.report(Problem{Kind: kind, Object: object, Text: fmt.Sprintf(format, args...)})
}

// each is Store.each that can be cancelled, and that reports what the engine finds damaged
// instead of ending: the rest of the prefix is not reachable then, other prefixes are.
func (v *verifier) each(p layout.Prefix, fn func(key, value []byte) error) error {
	lower, upper := layout.Bounds(p)
	err := v.s.each(v.snap, lower, upper, func(key, value []byte) error {
		if err := v.ctx.Err(); err != nil {
			return cluster.Errorf(cluster.KindUnavailable, "read", "%w", context.Cause(v.ctx))
		}
		return fn(key, value)
	})
	if cluster.IsKind(err, cluster.KindCorrupt) {
		v.problem(cluster.KindCorrupt, fmt.Sprintf("records %q", byte(p)), "cannot be read to the end: %v", err)
		v.cut = true
		return nil
	}
	return err
}

// headers checks that every header says what a recount of its owner's records says.
func (v *verifier) headers() error {
	return v.each(layout.PrefixHeader, func(key, value []byte) error {
		b, owner, err := layout.ParseHeaderKey(key)
		if err != nil {
			v.problem(cluster.KindCorrupt, fmt.Sprintf("header %q", key), "%v", err)
			return nil
		}
		if want := v.s.format.Cluster.BucketOf(owner); b != want {
			v.problem(cluster.KindInternal, "header of "+owner, "lies in bucket %d, want %d", b, want)
		}
		h, err := layout.ParseHeader(key, value)
		if err != nil {
			v.problem(cluster.KindCorrupt, "header of "+owner, "%v", err)
			return nil
		}
		count, err := v.recount(b, owner)
		if err != nil {
			return err
		}
		have, want := layout.AppendHeader(nil, nil, &h), layout.AppendHeader(nil, nil, &count)
		if !bytes.Equal(have, want) {
			v.problem(cluster.KindInternal, "header of "+owner, "says %+v, a recount %+v", h, count)
		}
		if h.IsEmpty() {
			v.problem(cluster.KindInternal, "header of "+owner, "is empty and should not exist")
		}
		return nil
	})
}

// recount makes an owner's header anew from the records.
func (v *verifier) recount(b cluster.Bucket, owner string) (layout.Header, error) {
	var h layout.Header
	for _, p := range []layout.Prefix{layout.PrefixCached, layout.PrefixObject} {
		lower, upper := layout.OwnerBounds(p, b, owner, "")
		err := v.s.each(v.snap, lower, upper, func(key, value []byte) error {
			if p == layout.PrefixCached {
				h.Cached++
				return nil
			}
			_, _, id, err := layout.ParseObjectKey(key)
			if err != nil {
				return nil //nolint:nilerr // reported by objects
			}
			r, _, err := layout.ParseRecord(key, value)
			if err == nil && !r.Object.Deleted {
				h.Add(id.Type, r.Object.Replicas, 1, r.Object.Size)
			}
			return nil
		})
		if err != nil {
			return h, err
		}
	}
	return h, nil
}

// objects checks records, that their owner has a header, and cached and chunked contents.
func (v *verifier) objects() error {
	for _, p := range []layout.Prefix{layout.PrefixCached, layout.PrefixObject} {
		if err := v.each(p, v.object); err != nil {
			return err
		}
	}
	return nil
}

func (v *verifier) object(key, value []byte) error {
	p, b, id, err := layout.ParseObjectKey(key)
	if err != nil {
		v.problem(cluster.KindCorrupt, fmt.Sprintf("object %q", key), "%v", err)
		return nil
	}
	name := opName("object", id)
	r, rest, err := layout.ParseRecord(key, value)
	if err != nil {
		v.problem(cluster.KindCorrupt, name, "%v", err)
		return nil
	}
	o := &r.Object
	if !o.Deleted {
		v.total.Bytes += o.Size
		switch {
		case p == layout.PrefixObject:
			v.total.Objects++
		case isSole(o):
			v.total.Sole++
		}
	}
	if !o.Replicas.Contains(v.s.format.Node) {
		v.problem(cluster.KindInternal, name, "replica set %v is without this node", o.Replicas)
	}
	if p == layout.PrefixCached || !o.Deleted {
		if ok, err := v.has(layout.AppendHeaderKey(nil, b, id.Owner)); err != nil {
			return err
		} else if !ok {
			v.problem(cluster.KindInternal, name, "the owner has no header")
		}
	}
	switch {
	case p == layout.PrefixCached || v.s.isInline(id.Type):
		if err := verifyContents(o, rest); err != nil {
			v.problem(cluster.KindCorrupt, name, "%v", err)
		}
	case len(rest) != 0:
		v.problem(cluster.KindCorrupt, name, "%d bytes too many", len(rest))
	case r.Number == 0 && o.Size != 0:
		v.problem(cluster.KindInternal, name, "has no contents")
	case r.Number != 0:
		ok, err := v.has(layout.AppendBodyKey(nil, r.Number))
		if err != nil {
			return err
		}
		if !ok {
			v.problem(cluster.KindCorrupt, name, "the contents are missing")
		}
		return v.hasDerived(name, &r)
	}
	return nil
}

func (v *verifier) has(key []byte) (bool, error) {
	return v.s.get(v.snap, key, func([]byte) error { return nil })
}

// bodies checks every contents against the object they name, chunked ones too.
func (v *verifier) bodies() error {
	return v.each(layout.PrefixBody, func(key, value []byte) error {
		_, number, err := layout.ParseNumberKey(key)
		if err != nil {
			v.problem(cluster.KindCorrupt, fmt.Sprintf("contents %q", key), "%v", err)
			return nil
		}
		name := fmt.Sprintf("contents %d", number)
		objectKey, contents, err := layout.ParseBody(value)
		if err != nil {
			v.problem(cluster.KindCorrupt, name, "%v", err)
			return nil
		}
		var r layout.Record
		found, err := v.s.get(v.snap, objectKey, func(value []byte) (err error) {
			r, _, err = layout.ParseRecord(objectKey, value)
			return err
		})
		if err != nil {
			return nil //nolint:nilerr // reported by objects
		}
		if !found || r.Number != number {
			vaulted, err := v.vaulted(objectKey, number)
			switch {
			case err != nil:
				return nil //nolint:nilerr // reported by vault
			case vaulted == nil:
				v.problem(cluster.KindInternal, name, "belong to no object (they name %q)", objectKey)
				return nil
			}
			r = *vaulted
		}
		name = fmt.Sprintf("%s of object %q", name, objectKey)
		if r.Chunked {
			return v.chunked(name, &r)
		}
		if err := verifyContents(&r.Object, contents); err != nil {
			v.problem(cluster.KindCorrupt, name, "%v", err)
		}
		return nil
	})
}

// chunked reads large contents through.
func (v *verifier) chunked(name string, r *layout.Record) error {
	sum, size := sha256.New(), int64(0)
	lower, upper := layout.ChunkBounds(r.Number)
	var index uint32
	err := v.s.each(v.snap, lower, upper, func(key, value []byte) error {
		if err := v.ctx.Err(); err != nil {
			return cluster.Errorf(cluster.KindUnavailable, "read", "%w", context.Cause(v.ctx))
		}
		_, i, err := layout.ParseChunkKey(key)
		if err == nil && i != index {
			err = fmt.Errorf("chunk %d follows chunk %d", i, int64(index)-1)
		}
		chunk, err2 := layout.ParseChunk(key, value)
		if err == nil {
			err = err2
		}
		if err != nil {
			return corrupt("%w", err)
		}
		index++
		size += int64(len(chunk))
		sum.Write(chunk)
		return nil
	})
	if err == nil && (size != r.Object.Size || [32]byte(sum.Sum(nil)) != r.Object.Sum) {
		err = corrupt("%d bytes that do not match size %d and SHA-256", size, r.Object.Size)
	}
	if cluster.IsKind(err, cluster.KindCorrupt) {
		v.problem(cluster.KindCorrupt, name, "%v", err)
		return nil
	}
	return err
}

// chunks checks that every chunk belongs to contents, written or still being written.
func (v *verifier) chunks() error {
	var last uint64
	var known bool
	return v.each(layout.PrefixChunk, func(key, _ []byte) error {
		number, _, err := layout.ParseChunkKey(key)
		if err != nil {
			v.problem(cluster.KindCorrupt, fmt.Sprintf("chunk %q", key), "%v", err)
			return nil
		}
		if known && number == last {
			return nil
		}
		known, last = true, number
		for _, owner := range [][]byte{layout.AppendBodyKey(nil, number), layout.AppendIntentKey(nil, number)} {
			if ok, err := v.has(owner); ok || err != nil {
				return err
			}
		}
		v.problem(cluster.KindInternal, fmt.Sprintf("chunks of contents %d", number), "belong to nothing")
		return nil
	})
}

func (v *verifier) metas() error {
	return v.each(layout.PrefixMeta, func(key, value []byte) error {
		if _, err := layout.ParseMeta(key, value); err != nil {
			v.problem(cluster.KindCorrupt, fmt.Sprintf("meta value %q", key[1:]), "%v", err)
		}
		return nil
	})
}

// state compares the state record with what the other steps counted.
func (v *verifier) state() error {
	var have layout.State
	_, err := v.s.get(v.snap, layout.StateKey(), func(value []byte) (err error) {
		have, err = layout.ParseState(value)
		return err
	})
	if err != nil {
		v.problem(cluster.KindCorrupt, "state record", "%v", err)
		return nil
	}
	want := v.total
	want.Seq, want.Time = have.Seq, have.Time
	if have != want && !v.cut { // else the recount is short, which has been told
		v.problem(cluster.KindInternal, "state record", "says %+v, a recount %+v", have, want)
	}
	return nil
}

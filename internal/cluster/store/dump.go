package store

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/store/internal/layout"
)

// Dump writes every record in readable form, one JSON object a line, in the order of the keys.
// It leaves out contents and attributes, which may be secret, but for their sizes. Records that
// cannot be read are lines with an "error".
func (s *Store) Dump(ctx context.Context, w io.Writer) (err error) {
	const name = "dump store"
	if err := s.enter(name); err != nil {
		return err
	}
	defer s.gate.exit()
	snap := s.db.NewSnapshot()
	defer func() {
		if err2 := snap.Close(); err == nil {
			err = within(name, engineError(err2))
		}
	}()
	out := bufio.NewWriter(w)
	enc := json.NewEncoder(out)
	err = s.each(snap, []byte{0}, []byte{0xff}, func(key, value []byte) error {
		if err := ctx.Err(); err != nil {
			return cluster.Errorf(cluster.KindUnavailable, "read", "%w", context.Cause(ctx))
		}
		line, err := dumpLine(key, value)
		if err != nil {
			line = map[string]any{"record": "unreadable", "key": fmt.Sprintf("%q", key), "error": err.Error()}
		}
		if err := enc.Encode(line); err != nil {
			return fmt.Errorf("write: %w", err)
		}
		return nil
	})
	if err == nil {
		err = out.Flush()
	}
	return within(name, err)
}

func dumpLine(key, value []byte) (map[string]any, error) {
	switch layout.Prefix(key[0]) {
	case layout.PrefixFormat:
		f, err := layout.ParseFormat(value)
		types := make([]map[string]any, len(f.Types))
		for i, t := range f.Types {
			types[i] = map[string]any{"name": t.Name, "cached": t.Cached, "inline": t.Inline}
		}
		return map[string]any{"record": "format", "version": f.Version, "cluster": hex.EncodeToString(f.Cluster[:]),
			"node": f.Node, "types": types}, err
	case layout.PrefixState:
		st, err := layout.ParseState(value)
		return map[string]any{"record": "state", "seq": st.Seq, "time": st.Time, "objects": st.Objects, "bytes": st.Bytes, "sole": st.Sole,
			"updates": st.Records, "retired": st.Retired, "vaulted": st.Vaulted, "vault_bytes": st.VaultBytes}, err
	case layout.PrefixMeta:
		m, err := layout.ParseMeta(key, value)
		return map[string]any{"record": "meta", "name": string(key[1:]), "size": len(m)}, err
	case layout.PrefixHeader:
		return dumpHeader(key, value)
	case layout.PrefixCached, layout.PrefixObject:
		return dumpObject(key, value)
	case layout.PrefixUpdate:
		r, err := parseUpdate(key, value)
		return map[string]any{"record": "update", "owner": r.ID.Owner, "type": r.ID.Type, "id": r.ID.ID, "timestamp": r.Timestamp.String(),
			"deleted": r.Deleted, "replicas": r.Replicas, "targets": r.Targets, "retired": r.Retired}, err
	case layout.PrefixVault:
		r, at, err := parseVaulted(key, value)
		return map[string]any{"record": "vaulted", "owner": r.Object.ID.Owner, "type": r.Object.ID.Type, "id": r.Object.ID.ID,
			"deleted": at.String(), "size": r.Object.Size, "number": r.Number, "chunked": r.Chunked}, err
	case layout.PrefixOldest:
		vault, err := layout.ParseOldestKey(key)
		return map[string]any{"record": "oldest", "key": fmt.Sprintf("%q", vault)}, err
	case layout.PrefixBody, layout.PrefixIntent:
		p, number, err := layout.ParseNumberKey(key)
		record := map[layout.Prefix]string{layout.PrefixBody: "contents", layout.PrefixIntent: "intent"}[p]
		return map[string]any{"record": record, "number": number, "size": len(value)}, err
	case layout.PrefixDerive:
		_, number, err := layout.ParseNumberKey(key)
		d, err2 := layout.ParseDerived(key, value)
		return map[string]any{"record": "derived", "number": number, "version": d.Version, "failed": d.Failed, "size": len(d.Data)}, errors.Join(err, err2)
	case layout.PrefixChunk:
		number, index, err := layout.ParseChunkKey(key)
		return map[string]any{"record": "chunk", "number": number, "index": index, "size": len(value)}, err
	}
	return nil, fmt.Errorf("unknown prefix %q", key[0])
}

func dumpHeader(key, value []byte) (map[string]any, error) {
	b, owner, err := layout.ParseHeaderKey(key)
	if err != nil {
		return nil, err
	}
	h, err := layout.ParseHeader(key, value)
	fragments := make([]map[string]any, len(h.Fragments))
	for i, f := range h.Fragments {
		fragments[i] = map[string]any{"type": f.Type, "replicas": f.Replicas, "count": f.Count, "bytes": f.Bytes}
	}
	return map[string]any{"record": "header", "bucket": b, "owner": owner, "cached": h.Cached, "fragments": fragments}, err
}

func dumpObject(key, value []byte) (map[string]any, error) {
	p, b, id, err := layout.ParseObjectKey(key)
	if err != nil {
		return nil, err
	}
	r, _, err := layout.ParseRecord(key, value)
	o := &r.Object
	return map[string]any{"record": "object", "bucket": b, "owner": id.Owner, "type": id.Type, "id": id.ID,
		"cached": p == layout.PrefixCached, "timestamp": o.Timestamp.String(), "replicas": o.Replicas, "copies": o.Copies, "deleted": o.Deleted,
		"size": o.Size, "sha256": hex.EncodeToString(o.Sum[:]), "attributes": len(o.Attr),
		"number": r.Number, "chunked": r.Chunked, "rewritten": r.Rewritten, "derived": r.Derived}, err
}

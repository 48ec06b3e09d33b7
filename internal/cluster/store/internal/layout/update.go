package layout

import (
	"encoding/binary"

	"porcupine/internal/cluster"
)

// Update is the value of an update record's key.
type Update struct {
	Record cluster.Record // ID is not part of the value
	// Rewritten: as in Record.
	Rewritten bool
}

// Bits of an update record's flags. What is usual is left out: most records live for a moment, yet
// each is written to the log.
const (
	updateDeleted   = 1 << 0
	updateRewritten = 1 << 1
	updateTargets   = 1 << 2 // the targets are not the replica set and follow it
	updateRetired   = 1 << 3 // the time of retirement follows
	updateFlags     = updateDeleted | updateRewritten | updateTargets | updateRetired
)

// AppendUpdate appends the value of an update record's key.
func AppendUpdate(dst, key []byte, u *Update) []byte {
	start := len(dst)
	r := &u.Record
	var flags byte
	if r.Deleted {
		flags |= updateDeleted
	}
	if u.Rewritten {
		flags |= updateRewritten
	}
	if !r.Targets.Equal(r.Replicas) {
		flags |= updateTargets
	}
	if r.Retired != 0 {
		flags |= updateRetired
	}
	dst = append(dst, valueVersion, flags)
	dst = binary.BigEndian.AppendUint64(dst, uint64(r.Timestamp.Time))
	dst = binary.BigEndian.AppendUint64(dst, uint64(r.Timestamp.Node))
	dst = appendReplicas(dst, r.Replicas)
	if flags&updateTargets != 0 {
		dst = appendReplicas(dst, r.Targets)
	}
	if flags&updateRetired != 0 {
		dst = binary.BigEndian.AppendUint64(dst, uint64(r.Retired))
	}
	return appendCRC(dst, key, start)
}

// ParseUpdate reads the value of an update record's key; nothing points into it. The record's ID is
// left empty.
func ParseUpdate(key, value []byte) (u Update, err error) {
	body, err := openCRC(key, value)
	if err != nil {
		return u, err
	}
	in := reader{b: body}
	in.version()
	flags := in.u8()
	if flags&^updateFlags != 0 {
		in.fail("unknown flags %08b", flags)
	}
	r := &u.Record
	r.Timestamp.Time = int64(in.u64())
	r.Timestamp.Node = cluster.NodeID(in.u64())
	r.Replicas = in.replicas()
	r.Targets = r.Replicas
	if flags&updateTargets != 0 {
		if r.Targets = in.nodes(); in.err == nil && r.Targets.Equal(r.Replicas) {
			in.fail("the targets are the replica set and should be left out")
		}
	}
	if flags&updateRetired != 0 {
		if r.Retired = in.count("time of retirement"); in.err == nil && r.Retired == 0 {
			in.fail("it was retired at no time")
		}
	}
	r.Deleted = flags&updateDeleted != 0
	u.Rewritten = flags&updateRewritten != 0
	return u, in.end()
}

package folders

import (
	"math"
	"slices"
	"strings"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/replication/join"
	"porcupine/internal/mail"
)

// Limits of a tree.
const (
	FoldersMax       = 1000
	SubscriptionsMax = 1000
	// ContentsMax is how large contents may grow, so that what two sides of a partition have added fits
	// together below cluster.CachedSizeMax.
	ContentsMax = 120 << 10
)

// Tree is a user's folders. It is a value: no method changes it.
type Tree struct {
	registers join.Registers
	size      int // of Marshal
	view      *view
}

// Type is the object type of trees, for registration with a node.
func Type() cluster.TypeSpec {
	return cluster.TypeSpec{Name: mail.TypeFolders, Cached: true, Merge: Merge}
}

// Parse reads what Marshal wrote; nil, no contents, is the tree of a new user. KindInvalid, KindLimit:
// these are not folders.
func Parse(contents []byte) (*Tree, error) {
	registers, err := parse(contents)
	if err != nil {
		return nil, err
	}
	return newTree(registers), nil
}

// Marshal writes the tree: equal trees have equal bytes.
func (t *Tree) Marshal() []byte { return t.registers.Marshal() }

// Merge joins two contents: a cluster.TypeSpec.Merge. Of every register the last write stands, of
// every counter the larger value; then what lies before the horizon is forgotten. That keeps the order of merges
// without effect, because whatever wins has the newest time of all.
func Merge(a, b []byte) ([]byte, error) {
	x, err := parse(a)
	if err != nil {
		return nil, err
	}
	y, err := parse(b)
	if err != nil {
		return nil, err
	}
	joined := forget(x.Join(y)).Marshal()
	if len(joined) > join.SizeMax {
		return nil, cluster.Errorf(cluster.KindLimit, "join folders", "%d bytes together, at most %d allowed", len(joined), join.SizeMax)
	}
	return joined, nil
}

// timeMax leaves room to write after every register.
const timeMax = math.MaxInt64 / 2

func parse(contents []byte) (join.Registers, error) {
	const op = "read folders"
	if len(contents) == 0 {
		return nil, nil
	}
	registers, err := join.ParseRegisters(contents)
	if err != nil {
		return nil, err
	}
	horizon := counter(registers, counterHorizon)
	for i := range registers {
		r := &registers[i]
		isCounter := r.Name[0] == kindCounter
		switch {
		case r.Time.Time > timeMax:
			return nil, cluster.Errorf(cluster.KindInvalid, op, "register %q is of %v", r.Name, r.Time)
		case !isCounter && r.Time.Time < horizon:
			return nil, cluster.Errorf(cluster.KindInvalid, op, "register %q is older than what was forgotten", r.Name)
		case isCounter && (len(r.Value) > 0 || r.Time.Node != cluster.NoNode || r.Time.Time <= 0):
			return nil, cluster.Errorf(cluster.KindInvalid, op, "counter %q is none", r.Name)
		case r.Name == counterValidity && r.Time.Time > math.MaxUint32:
			return nil, cluster.Errorf(cluster.KindInvalid, op, "UIDVALIDITY %d", r.Time.Time)
		}
	}
	return registers, nil
}

// forget leaves out what lies before the horizon. It may change registers.
func forget(registers join.Registers) join.Registers {
	horizon := counter(registers, counterHorizon)
	return slices.DeleteFunc(registers, func(r join.Register) bool {
		return r.Name[0] != kindCounter && r.Time.Time < horizon
	})
}

func counter(registers join.Registers, name string) int64 {
	r, _ := registers.Get(name)
	return r.Time.Time
}

func newTree(registers join.Registers) *Tree {
	return &Tree{registers: registers, size: sizeOf(registers), view: newView(registers)}
}

// sizeOf is the length of Marshal, without writing it.
func sizeOf(registers join.Registers) int {
	n := 2 + 4
	for i := range registers {
		n += sizeOfOne(&registers[i])
	}
	return n
}

func sizeOfOne(r *join.Register) int { return 1 + len(r.Name) + 8 + 8 + 2 + len(r.Value) }

// draft is a tree that is being changed.
type draft struct {
	registers join.Registers // the draft's own
	at        cluster.Timestamp
	horizon   int64
	validity  uint32 // the largest given so far
}

func (t *Tree) draft(at cluster.Timestamp) *draft {
	return &draft{registers: slices.Clone(t.registers), at: at, horizon: counter(t.registers, counterHorizon), validity: t.HighWater()}
}

// set writes a register, at the draft's time or, where that has been written before, just after that: what a user does
// last stands.
func (d *draft) set(name string, value []byte) {
	at := d.at
	at.Time = max(at.Time, d.horizon)
	i, found := slices.BinarySearchFunc(d.registers, name, func(r join.Register, name string) int { return strings.Compare(r.Name, name) })
	if !found {
		d.registers = slices.Insert(d.registers, i, join.Register{Name: name, Time: at, Value: value})
		return
	}
	if r := &d.registers[i]; at.Compare(r.Time) <= 0 {
		at.Time = r.Time.Time + 1
	}
	d.registers[i] = join.Register{Name: name, Time: at, Value: value}
}

// raise sets a counter that is less.
func (d *draft) raise(name string, value int64) {
	if counter(d.registers, name) >= value {
		return
	}
	d.registers = d.registers.Join(join.Registers{{Name: name, Time: cluster.Timestamp{Time: value}}})
}

// newValidity gives a UIDVALIDITY that is greater than any before, and not less than the time in seconds (L12).
func (d *draft) newValidity(op string) (uint32, error) {
	const second = 1_000_000_000
	next := max(d.at.Time/second, int64(d.validity)+1)
	if next > math.MaxUint32 {
		return 0, cluster.Errorf(cluster.KindLimit, op, "no UIDVALIDITY is left above %d", d.validity)
	}
	d.validity = uint32(next)
	d.raise(counterValidity, next)
	return d.validity, nil
}

// finish gives the new tree, in which what is older than need be may be forgotten. before is the tree that it came from;
// it refuses what makes a tree grow beyond ContentsMax.
func (d *draft) finish(op string, before *Tree) (*Tree, error) {
	t := newTree(d.registers).trim(d.at)
	if t.size > ContentsMax && t.size > before.size {
		return nil, cluster.Errorf(cluster.KindLimit, op, "folders, subscriptions and annotations take %d bytes together, at most %d allowed: delete some", t.size, ContentsMax)
	}
	return t, nil
}

package cluster

// Change says what happened to one object at one node. Whoever follows an owner's objects there is
// told of it after the commit (package feed).
type Change struct {
	// Object is the object as the node has it now, if State is ChangeStored. Otherwise only ID and
	// Timestamp count, and of the timestamp only that nothing older lies there.
	Object Object
	State  ChangeState
}

// ChangeState says how much a Change tells.
type ChangeState uint8

const (
	// ChangeTouched: something is different, or may be: ask the node.
	ChangeTouched ChangeState = iota
	// ChangeStored: the node holds what Object says.
	ChangeStored
	// ChangeRemoved: the node holds no copy any more: the object was deleted, or lies elsewhere.
	ChangeRemoved
)

func (s ChangeState) String() string {
	switch s {
	case ChangeStored:
		return "stored"
	case ChangeRemoved:
		return "removed"
	}
	return "touched"
}

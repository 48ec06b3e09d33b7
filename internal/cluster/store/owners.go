package store

import (
	"porcupine/internal/cluster"
	"porcupine/internal/cluster/store/internal/layout"
)

// owner is an owner's header in the committer's memory.
type owner struct {
	key    []byte
	stored bool // there is a header on disk
	dirty  bool // header differs from what is on disk
	header layout.Header
}

// owners caches headers for the committer: two generations, the older of which is dropped when
// the younger is full, so that what is used stays. It has one user, the committer, and no lock.
// Nothing is dropped while a group is being built: a header that the group changed must be found
// again by the group's later updates.
type owners struct {
	young, old map[string]*owner
}

func newOwners() *owners {
	return &owners{young: make(map[string]*owner)}
}

// find gives the cached header of an owner, nil if there is none.
func (c *owners) find(name string) *owner {
	if o, ok := c.young[name]; ok {
		return o
	}
	o, ok := c.old[name]
	if ok {
		c.add(name, o)
	}
	return o
}

func (c *owners) add(name string, o *owner) { c.young[name] = o }

// trim keeps the cache within its bound. Only between groups.
func (c *owners) trim() {
	if len(c.young) >= ownersCachedMax/2 {
		c.old, c.young = c.young, make(map[string]*owner)
	}
}

// owner gives an owner's header from memory or disk.
func (c *committer) owner(b cluster.Bucket, name string) (*owner, error) {
	if o := c.owners.find(name); o != nil {
		c.s.count.headerHits.Add(1)
		return o, nil
	}
	c.s.count.headerMiss.Add(1)
	o := &owner{key: layout.AppendHeaderKey(nil, b, name)}
	found, err := c.get(o.key, func(v []byte) (err error) {
		if o.header, err = layout.ParseHeader(o.key, v); err != nil {
			return corrupt("header of %s: %w", name, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	o.stored = found
	c.owners.add(name, o)
	return o, nil
}

package folders

import (
	"maps"
	"slices"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// Renamed says what a rename has done.
type Renamed struct {
	Folder Folder // of the new name; it does not exist if only folders below it were renamed
	// Empty says that INBOX was renamed: all its messages, but not the folders below it, are to be moved
	// into Folder, AFTER the tree was written (RFC 9051 §6.3.6).
	Empty bool
}

// Rename renames a folder and all below it, and makes what is missing above the new name. Ids stay, and
// UIDVALIDITY does if nothing else can have had the new name with it. Subscriptions are to names,
// and stay too. KindNotFound; KindExists: the new name, or one below it, is there; KindInvalid: no such
// name can be, or it lies below the old one; KindLimit.
func (t *Tree) Rename(from, to string, draw func() mail.FolderID, at cluster.Timestamp) (*Tree, Renamed, error) {
	if f, err := t.Find(from); err == nil && f.ID == mail.Inbox {
		after, made, err := t.Create(to, "", draw, at)
		return after, Renamed{Folder: made, Empty: true}, err
	}
	from, err := Canonical(from)
	if err != nil {
		return nil, Renamed{}, err
	}
	moves := t.moves(from)
	if len(moves) == 0 {
		return nil, Renamed{}, notFound(from)
	}
	if to, err = t.vacant(to); err != nil {
		return nil, Renamed{}, err
	}
	if isBelow(to, from) {
		return nil, Renamed{}, cluster.Errorf(cluster.KindInvalid, opName(to), "it would lie below itself")
	}
	d := t.draft(at)
	rest := t.without(moves)
	for _, name := range moves {
		path := to + name[len(from):]
		if _, err := Canonical(path); err != nil {
			return nil, Renamed{}, err
		}
		if _, taken := rest.owner(path); taken {
			return nil, Renamed{}, cluster.Errorf(cluster.KindExists, opName(path), "there is such a folder")
		}
		for _, id := range t.view.names[name] {
			if err := d.move(t, id, path); err != nil {
				return nil, Renamed{}, err
			}
		}
	}
	if err := d.make(newTree(d.registers), above(to), 0, draw); err != nil {
		return nil, Renamed{}, err
	}
	after, err := d.finish(opName(to), t)
	if err != nil {
		return nil, Renamed{}, err
	}
	f, err := after.Find(to)
	if err != nil { // only what was below it
		f = Folder{Name: to, Children: true, Subscribed: after.view.isSubscribed(to)}
	}
	return after, Renamed{Folder: f}, nil
}

// moves lists the names of folders at and below a name, ascending.
func (t *Tree) moves(from string) (names []string) {
	for _, name := range slices.Sorted(maps.Keys(t.view.names)) {
		if name == from || isBelow(name, from) {
			names = append(names, name)
		}
	}
	return names
}

// without is the view of names without some of them; nothing else of it is filled in.
func (t *Tree) without(names []string) *view {
	v := &view{names: maps.Clone(t.view.names)}
	for _, name := range names {
		delete(v.names, name)
	}
	return v
}

// move gives a folder another name, with the UIDVALIDITY that it has, or a new one where another folder may have had
// the name with a greater one, or the same.
func (d *draft) move(t *Tree, id mail.FolderID, path string) (err error) {
	s := *t.view.folders[id]
	d.lose(id, &s)
	if int64(s.validity) <= counter(t.registers, counterHistory) || t.view.isStale(path, id, s.validity) {
		if s.validity, err = d.newValidity(opName(path)); err != nil {
			return err
		}
	}
	s.path = path
	d.lose(id, &s) // the other side may overwrite it with another name
	d.set(nameOf(kindFolder, id, ""), s.value())
	return nil
}

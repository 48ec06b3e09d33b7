package folders

import (
	"maps"
	"slices"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// Conflict says that a folder has lost its name to another one: all its messages are to be put into
// that, with fresh UIDs, and then Absorbed is to be written. From has no name any more: its messages are
// found only by way of Home.
type Conflict struct {
	Name       string
	From, Into mail.FolderID
}

// Settle gives what is to be done about names that several folders have. The tree that it gives is to be
// written BEFORE anything of it is shown, if it is not t itself: a folder whose name another one has, or had on the
// other side, with a UIDVALIDITY that is not less, has got a greater one there, and one that was bumped under another name is noted under
// its own (L12, U4). KindLimit: no
// UIDVALIDITY is left.
func (t *Tree) Settle(at cluster.Timestamp) (*Tree, []Conflict, error) {
	var conflicts []Conflict
	var d *draft
	v := t.view
	for _, name := range slices.Sorted(maps.Keys(v.names)) {
		ids := v.names[name]
		for _, id := range ids[1:] {
			conflicts = append(conflicts, Conflict{Name: name, From: id, Into: ids[0]})
		}
		first := v.folders[ids[0]]
		isTied := len(ids) > 1 && v.folders[ids[1]].validity == first.validity
		isToChange := isTied || v.isStale(name, ids[0], first.validity)
		// What was bumped on one side, under another name, is shown under this one from now on.
		isToBeNoted := first.isBumped && !slices.Contains(v.history[name], holder{first.validity, ids[0]})
		if !isToChange && !isToBeNoted {
			continue
		}
		if d == nil {
			d = t.draft(at)
		}
		if !isToChange {
			d.lose(ids[0], first)
			continue
		}
		validity, err := d.newValidity(opName(name))
		if err != nil {
			return nil, nil, err
		}
		d.bump(name, ids[0], validity)
	}
	if d == nil {
		return t, conflicts, nil
	}
	return newTree(d.registers), conflicts, nil
}

// yes is the value of a register of which only the name says something.
func yes() []byte { return []byte{1} }

// Absorbed notes that the messages of a folder that has lost its name have been put into the one that has it.
// Write it AFTER them. Doing it twice does nothing. KindInvalid: it has a name again, or another folder has got that;
// settle again.
func (t *Tree) Absorbed(c Conflict, at cluster.Timestamp) (*Tree, error) {
	s, ok := t.view.folders[c.From]
	if !ok || s.path == "" {
		return t, nil
	}
	if owner, _ := t.view.owner(s.path); owner != c.Into || c.From == c.Into {
		return nil, cluster.Errorf(cluster.KindInvalid, opName(c.Name), "folder %s is not to be merged into %s any more", c.From, c.Into)
	}
	d := t.draft(at)
	d.lose(c.From, s)
	d.set(nameOf(kindFolder, c.From, ""), (&state{into: c.Into}).value())
	return newTree(d.registers), nil
}

// lose notes that a folder had a name, BEFORE it has it no longer.
func (d *draft) lose(id mail.FolderID, s *state) {
	d.set(historyName(s.path, s.validity, id), yes())
}

// bump raises a folder's UIDVALIDITY. The other side may have taken the folder away, and never show it.
func (d *draft) bump(name string, id mail.FolderID, validity uint32) {
	d.set(bumpName(id, validity), yes())
	d.set(historyName(name, validity, id), yes())
}

// Bump gives a folder a UIDVALIDITY that is greater than any before: its UIDs mean nothing any more.
// KindNotFound: it does not exist, or has no name. KindLimit: none is left.
func (t *Tree) Bump(id mail.FolderID, at cluster.Timestamp) (*Tree, Folder, error) {
	f, ok := t.Folder(id)
	if !ok {
		return nil, Folder{}, cluster.Errorf(cluster.KindNotFound, "folder "+id.String(), "there is no such folder")
	}
	d := t.draft(at)
	validity, err := d.newValidity(opName(f.Name))
	if err != nil {
		return nil, Folder{}, err
	}
	d.bump(f.Name, id, validity)
	after := newTree(d.registers)
	f, _ = after.Folder(id)
	return after, f, nil
}

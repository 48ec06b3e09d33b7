package folders

import (
	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// drawsMax bounds how often an id is drawn that is there already.
const drawsMax = 8

// Create makes a folder and what is missing above it. use is a special use, such as `\Sent`, or ""; the folder takes it over from
// the one that has it. draw gives ids: mail.NewFolderID. KindExists; KindInvalid: no such name or
// use can be; KindLimit: too many, or too large.
func (t *Tree) Create(name, use string, draw func() mail.FolderID, at cluster.Timestamp) (*Tree, Folder, error) {
	name, err := t.vacant(name)
	if err != nil {
		return nil, Folder{}, err
	}
	k, err := parseUse(opName(name), use)
	if err != nil {
		return nil, Folder{}, err
	}
	d := t.draft(at)
	if err := d.make(t, append(above(name), name), k, draw); err != nil {
		return nil, Folder{}, err
	}
	after, err := d.finish(opName(name), t)
	if err != nil {
		return nil, Folder{}, err
	}
	f, err := after.Find(name)
	return after, f, err
}

// vacant gives the canonical form of a name that no folder has.
func (t *Tree) vacant(name string) (string, error) {
	name, err := Canonical(name)
	if err != nil {
		return "", err
	}
	if _, taken := t.view.owner(name); taken {
		return "", cluster.Errorf(cluster.KindExists, opName(name), "there is such a folder")
	}
	return name, nil
}

// make creates those of the names that no folder of t has; the last one gets the special use.
func (d *draft) make(t *Tree, names []string, use byte, draw func() mail.FolderID) error {
	count := len(t.view.names)
	for i, name := range names {
		if _, ok := t.view.owner(name); ok {
			continue
		}
		if count++; count > FoldersMax {
			return cluster.Errorf(cluster.KindLimit, opName(name), "at most %d folders are allowed: delete some", FoldersMax)
		}
		id, err := t.newID(opName(name), draw)
		if err != nil {
			return err
		}
		s := state{path: name}
		if i == len(names)-1 {
			s.use = use
		}
		if s.validity, err = d.newValidity(opName(name)); err != nil {
			return err
		}
		d.set(nameOf(kindFolder, id, ""), s.value())
	}
	return nil
}

// newID draws an id that no folder has had.
func (t *Tree) newID(op string, draw func() mail.FolderID) (mail.FolderID, error) {
	for range drawsMax {
		id := draw()
		if _, known := t.view.folders[id]; !known {
			return id, nil
		}
	}
	return mail.FolderID{}, cluster.Errorf(cluster.KindInternal, op, "ids that are drawn are there already: the random source is broken")
}

// Delete takes a folder away. Its messages are to be expunged BEFORE that is written: those that are
// not are found in INBOX. KindNotFound; KindDenied: INBOX, or it has folders below it.
func (t *Tree) Delete(name string, at cluster.Timestamp) (*Tree, Folder, error) {
	f, err := t.Find(name)
	switch {
	case err != nil:
		return nil, Folder{}, err
	case f.ID == mail.Inbox:
		return nil, Folder{}, cluster.Errorf(cluster.KindDenied, opName(f.Name), "INBOX cannot be deleted")
	case f.Children:
		return nil, Folder{}, cluster.Errorf(cluster.KindDenied, opName(f.Name), "it has folders below it: delete them first")
	}
	d := t.draft(at)
	for _, id := range t.view.names[f.Name] { // those to be merged too: else one of them would have the name
		d.lose(id, t.view.folders[id])
		d.set(nameOf(kindFolder, id, ""), (&state{}).value())
	}
	return newTree(d.registers).trim(at), f, nil
}

package folders

import (
	"maps"
	"slices"
	"strings"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// Limits of annotations (RFC 5464).
const (
	EntryMax            = 128      // bytes of an entry's name
	AnnotationMax       = 1000     // bytes of a value
	AnnotationsMax      = 32       // of one folder, or of the whole mailbox
	AnnotationsBytesMax = 32 << 10 // of all together
)

// entrySpecialUse is the annotation that mirrors a special use (RFC 6154 §4).
const entrySpecialUse = "/private/specialuse"

// Annotations gives the annotations of a folder, of the whole mailbox if name is "" (RFC 5464), by entry
// name in lower case. KindNotFound: no such folder.
func (t *Tree) Annotations(name string) (map[string]string, error) {
	if name == "" {
		return maps.Clone(t.view.general), nil
	}
	f, err := t.Find(name)
	if err != nil {
		return nil, err
	}
	return maps.Clone(t.view.annotations[f.ID]), nil
}

// Annotate sets annotations of a folder, of the whole mailbox if name is "", or takes them away where the value is nil; all
// of them or none. KindNotFound: no such folder; KindInvalid: no such entry can be; KindDenied: special uses are given
// by Create; KindLimit: too many, or too large.
func (t *Tree) Annotate(name string, values map[string]*string, at cluster.Timestamp) (*Tree, error) {
	prefix, present, op := string(rune(kindGeneral)), t.view.general, "annotate the mailbox"
	if name != "" {
		f, err := t.Find(name)
		if err != nil {
			return nil, err
		}
		prefix, present, op = nameOf(kindAnnotation, f.ID, ""), t.view.annotations[f.ID], "annotate "+opName(f.Name)
	}
	after := maps.Clone(present)
	if after == nil {
		after = map[string]string{}
	}
	d := t.draft(at)
	for _, entry := range slices.Sorted(maps.Keys(values)) {
		value := values[entry]
		entry, err := canonicalEntry(op, entry)
		if err != nil {
			return nil, err
		}
		if value == nil {
			if _, ok := after[entry]; ok {
				delete(after, entry)
				d.set(prefix+entry, nil)
			}
			continue
		}
		if len(*value) > AnnotationMax {
			return nil, cluster.Errorf(cluster.KindLimit, op, "%s: %d bytes, at most %d allowed", entry, len(*value), AnnotationMax)
		}
		after[entry] = *value
		d.set(prefix+entry, append(yes(), *value...))
	}
	if len(after) > AnnotationsMax && len(after) > len(present) {
		return nil, cluster.Errorf(cluster.KindLimit, op, "at most %d annotations are allowed: take some away", AnnotationsMax)
	}
	changed := newTree(d.registers)
	if size := changed.view.annotated(); size > AnnotationsBytesMax && size > t.view.annotated() {
		return nil, cluster.Errorf(cluster.KindLimit, op, "all annotations take %d bytes, at most %d allowed: take some away", size, AnnotationsBytesMax)
	}
	return d.finish(op, t)
}

// annotated is the size of all annotations, of folders that exist.
func (v *view) annotated() int {
	size := 0
	add := func(some map[string]string) {
		for entry, value := range some {
			size += len(entry) + len(value)
		}
	}
	add(v.general)
	for id, some := range v.annotations {
		if s, ok := v.folders[id]; ok && s.path != "" {
			add(some)
		}
	}
	return size
}

// canonicalEntry checks the name of an entry (RFC 5464 §3.2) and puts it in lower case: it is the same
// in any case of letters.
func canonicalEntry(op, entry string) (string, error) {
	lower := strings.ToLower(entry)
	var why string
	switch {
	case len(entry) > EntryMax:
		return "", cluster.Errorf(cluster.KindLimit, op, "the name of an entry has %d bytes, at most %d allowed", len(entry), EntryMax)
	case !strings.HasPrefix(lower, "/private/") && !strings.HasPrefix(lower, "/shared/"):
		why = "want a name that begins with /private/ or /shared/"
	case strings.HasSuffix(lower, "/"), strings.Contains(lower, "//"):
		why = "a level of its name is empty"
	case strings.ContainsFunc(lower, func(r rune) bool { return r < 0x20 || r >= 0x7f || r == '*' || r == '%' }):
		why = "want ASCII, without control characters, * and %"
	case lower == entrySpecialUse:
		return "", cluster.Errorf(cluster.KindDenied, op, "entry %s: give the special use when the folder is created", lower)
	}
	if why != "" {
		return "", cluster.Errorf(cluster.KindInvalid, op, "entry %q: %s", entry, why)
	}
	return lower, nil
}

// isAlive reports whether a folder exists.
func (v *view) isAlive(id mail.FolderID) bool {
	s, ok := v.folders[id]
	return ok && s.path != ""
}

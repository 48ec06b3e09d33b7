// Package policy reads the import policy and finds the edges that it does not allow.
//
// The policy is a text of lines; # begins a comment. A name is a folder from the root of the tree,
// @NAME a group of them, and * everything.
//
//	group @NAME: NAME...       names a group
//	room NAME: NAME...         the room's packages may import those
//	tests NAME: NAME...        its test files may import those too
//	pure NAME...               a core: no goroutine, clock, lock, global randomness or I/O
//	outside MODULE: NAME...    who may import packages of a third-party module
//	outside-tests MODULE: ...  who may, in test files only
//	files NAME: NAME...        inside the first, only the others open files
//	network NAME: NAME...      inside the first, only the others dial and listen
//
// A room is a folder with all below it, but for folders that are rooms themselves. What lies below
// a room and is no room is private to it. Every package belongs to a room, and every third-party
// module has its line: what is not allowed is refused.
package policy

import (
	"fmt"
	"slices"
	"strings"

	"porcupine/internal/lint/source"
)

// Policy is a parsed import policy.
type Policy struct {
	rooms        map[string]*room
	pure         []string
	outside      map[string][]string
	outsideTests map[string][]string
	files        map[string][]string
	network      map[string][]string
}

type room struct {
	imports, tests []string
}

// Parse reads a policy; name stands in its errors.
func Parse(name, text string) (*Policy, error) {
	p := &Policy{
		rooms:        map[string]*room{},
		outside:      map[string][]string{},
		outsideTests: map[string][]string{},
		files:        map[string][]string{},
		network:      map[string][]string{},
	}
	groups := map[string][]string{}
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		if strings.TrimSpace(line) == "" {
			continue
		}
		if err := p.line(line, groups); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, i+1, err)
		}
	}
	return p, nil
}

func (p *Policy) line(line string, groups map[string][]string) error {
	head, tail, colon := strings.Cut(line, ":")
	words := strings.Fields(head)
	if words[0] == "pure" {
		names, err := expand(words[1:], groups)
		p.pure = append(p.pure, names...)
		return err
	}
	if len(words) != 2 || !colon {
		return fmt.Errorf("%q: want a keyword, a name, a colon and names", strings.TrimSpace(line))
	}
	subject := words[1]
	names, err := expand(strings.Fields(tail), groups)
	if err != nil {
		return err
	}
	add := func(m map[string][]string) { m[subject] = append(m[subject], names...) }
	switch words[0] {
	case "group":
		groups[subject] = names
	case "room":
		if p.rooms[subject] != nil {
			return fmt.Errorf("room %s is there already", subject)
		}
		p.rooms[subject] = &room{imports: names}
	case "tests":
		if p.rooms[subject] == nil {
			return fmt.Errorf("tests of %s, which is no room yet", subject)
		}
		p.rooms[subject].tests = names
	case "outside":
		add(p.outside)
	case "outside-tests":
		add(p.outsideTests)
	case "files":
		add(p.files)
	case "network":
		add(p.network)
	default:
		return fmt.Errorf("unknown keyword %q", words[0])
	}
	return nil
}

func expand(words []string, groups map[string][]string) ([]string, error) {
	var names []string
	for _, w := range words {
		if !strings.HasPrefix(w, "@") {
			names = append(names, w)
			continue
		}
		g, ok := groups[w]
		if !ok {
			return nil, fmt.Errorf("group %s is not defined above", w)
		}
		names = append(names, g...)
	}
	return names, nil
}

// Check gives every edge of the tree that the policy does not allow.
func (p *Policy) Check(t *source.Tree) []source.Finding {
	var found []source.Finding
	for _, pkg := range t.Packages {
		home := p.roomOf(pkg.Dir)
		if home == "" {
			found = append(found, source.Finding{Where: pkg.Dir, Rule: "imports",
				What: "the package belongs to no room: give it a line in the import policy"})
			continue
		}
		for _, f := range pkg.Files {
			found = append(found, p.checkFile(t, home, f)...)
		}
	}
	return found
}

func (p *Policy) checkFile(t *source.Tree, home string, f *source.File) []source.Finding {
	var found []source.Finding
	report := func(where, format string, args ...any) {
		found = append(found, source.Finding{Where: where, Rule: "imports", What: fmt.Sprintf(format, args...)})
	}
	for _, spec := range f.Imports() {
		imported, where := source.ImportPath(spec), t.Position(spec)
		if dir, ok := t.Local(imported); ok {
			if edge := p.edge(home, dir, f.Test); edge != "" {
				report(where, "%s", edge)
			}
			continue
		}
		if first, _, _ := strings.Cut(imported, "/"); strings.Contains(first, ".") {
			if !p.mayUse(t, imported, home, f.Test) {
				report(where, "%s may not import %s: no 'outside' line allows it", home, imported)
			}
			continue
		}
		if slices.Contains(p.pure, home) && !f.Test && impure(imported) {
			report(where, "%s is a core and may not import %s: what it needs of the world goes into its output", home, imported)
		}
	}
	if !f.Test {
		found = append(found, p.world(t, home, f)...)
	}
	return found
}

// edge says what is wrong with an import from room home to the package in dir, "" if nothing is.
func (p *Policy) edge(home, dir string, test bool) string {
	to := p.roomOf(dir)
	if to == home {
		return ""
	}
	r := p.rooms[home]
	allowed := allows(r.imports, to) || test && allows(r.tests, to)
	switch {
	case to == "":
		return fmt.Sprintf("%s imports %s, which belongs to no room", home, dir)
	case !allowed && test:
		return fmt.Sprintf("test files of %s may not import %s", home, dir)
	case !allowed:
		return fmt.Sprintf("%s may not import %s", home, dir)
	case dir != to && !slices.Contains(r.imports, "*"):
		return fmt.Sprintf("%s may not import %s, which is private to %s", home, dir, to)
	}
	return ""
}

func allows(names []string, room string) bool {
	return slices.Contains(names, room) || slices.Contains(names, "*")
}

func (p *Policy) mayUse(t *source.Tree, imported, home string, test bool) bool {
	m := t.ModuleOf(imported)
	return allows(p.outside[m], home) || test && allows(p.outsideTests[m], home)
}

// roomOf gives the innermost room that a folder lies in.
func (p *Policy) roomOf(dir string) string {
	best := ""
	for r := range p.rooms {
		if within(dir, r) && len(r) > len(best) {
			best = r
		}
	}
	return best
}

func within(dir, outer string) bool {
	return dir == outer || strings.HasPrefix(dir, outer+"/")
}

// Rooms lists the rooms of the policy, sorted.
func (p *Policy) Rooms() []string {
	var names []string
	for r := range p.rooms {
		names = append(names, r)
	}
	slices.Sort(names)
	return names
}

// Pure lists the cores.
func (p *Policy) Pure() []string { return slices.Clone(p.pure) }

package imapserver_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const (
	root                = "../../.."
	conformanceDocument = root + "/docs/conformance.md"
	conformanceCasesMin = 600
)

var (
	requirementRow = regexp.MustCompile("^\\| §([0-9.]+) \\| (.+) \\| (`.+`) \\|$")
	testDeclared   = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	testNamed      = regexp.MustCompile(`^(Test|Fuzz)[A-Z]\w*$`)
)

// TestConformanceDocument finds cases and tests that docs/conformance.md names and that do not exist, and lines of its
// tables that name none. Titles of cases are unique in their file, so that a name means one.
func TestConformanceDocument(t *testing.T) {
	known := goTests(t)
	count := 0
	for _, file := range tables(t) {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		for _, c := range cases(t, file) {
			title, _, _ := strings.Cut(c, " | ")
			if known[name+": "+title] {
				t.Errorf("%s has two cases %q", file, title)
			}
			known[name+": "+title] = true
			count++
		}
	}
	if count < conformanceCasesMin {
		t.Errorf("%d cases, want %d", count, conformanceCasesMin)
	}
	text, err := os.ReadFile(conformanceDocument)
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for i, line := range strings.Split(string(text), "\n") {
		if !strings.HasPrefix(line, "| §") {
			continue
		}
		row := requirementRow.FindStringSubmatch(line)
		if row == nil {
			t.Errorf("%s:%d: want | §section | what | `tests` |", conformanceDocument, i+1)
			continue
		}
		rows++
		for ref := range strings.SplitSeq(row[3], "<br>") {
			if ref = strings.Trim(ref, "`"); !known[ref] {
				t.Errorf("%s:%d: there is no %q", conformanceDocument, i+1, ref)
			}
		}
	}
	t.Logf("%d requirements, %d cases", rows, count)
	if rows == 0 {
		t.Error("no requirements found")
	}
}

// goTests gives the names of all Go tests of the tree.
func goTests(t *testing.T) map[string]bool {
	names := map[string]bool{}
	for _, dir := range []string{"internal", "test", "cmd"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			src, err := os.ReadFile(path)
			for _, m := range testDeclared.FindAllSubmatch(src, -1) {
				names[string(m[1])] = testNamed.Match(m[1])
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return names
}

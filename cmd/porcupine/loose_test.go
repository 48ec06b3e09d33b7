package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"porcupine/internal/admin"
)

func TestLooseEnds(t *testing.T) {
	aliases := []admin.Alias{
		{Address: "all@x.example", Targets: []string{"team@x.example"}}, // by way of the next
		{Address: "team@x.example", Targets: []string{"ann@x.example", "ann+team@x.example"}},
		{Address: "info@x.example", Targets: []string{"bob@x.example", "ann@x.example"}},
		{Address: "sales@x.example", Targets: []string{"bob@x.example"}},
		{Address: "loop@x.example", Targets: []string{"loop@x.example"}},
	}
	domains := []admin.Domain{
		{Domain: "y.example", Postmaster: "ann@x.example", CatchAll: "bob@x.example"},
		{Domain: "x.example", CatchAll: "team@x.example"},
		{Domain: "z.example"},
	}
	got := looseEnds("Ann@X.example", aliases, domains)
	want := loose{
		nowhere: []string{"all@x.example", "team@x.example"}, targets: []string{"info@x.example"},
		domains: []string{"y.example"}, catchAll: []string{"x.example"},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(loose{})); diff != "" {
		t.Errorf("looseEnds (-want +got):\n%s", diff)
	}
	if lines := strings.Join(got.lines(), "\n"); !strings.Contains(lines, "'porcupine alias remove' ends them: all@x.example, team@x.example\n") || strings.Count(lines, "\n") != 3 {
		t.Errorf("lines:\n%s", lines)
	}
	if l := looseEnds("bob+x@x.example", aliases, domains); len(l.lines()) > 0 {
		t.Errorf("of a name that nothing leads to: %q", l.lines())
	}
}

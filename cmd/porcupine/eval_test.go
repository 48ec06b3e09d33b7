package main

import (
	"strings"
	"testing"
)

func TestEvalLists(t *testing.T) {
	for _, args := range [][]string{{"eval"}, {"eval", "list"}} {
		code, out, errOut := try(t, "", args...)
		if code != 0 || !strings.Contains(out, "scalability") || !strings.Contains(out, "TOCS §5.2") {
			t.Errorf("%v = %d, %q, %q", args, code, out, errOut)
		}
	}
	if code, _, errOut := try(t, "", "eval", "skew", "speed"); code != exitFailed || !strings.Contains(errOut, `no experiment "speed"`) {
		t.Errorf("eval of an unknown experiment = %d, %q", code, errOut)
	}
}

// The names of experiments are the names of files: each is there once.
func TestEvalChooses(t *testing.T) {
	all := experiments()
	seen := map[string]bool{}
	for _, x := range all {
		if seen[x.Name] {
			t.Errorf("two experiments are called %s", x.Name)
		}
		seen[x.Name] = true
	}
	if got, err := chooseExperiments(all, []string{"all"}); err != nil || len(got) != len(all) {
		t.Errorf("all = %d experiments, %v", len(got), err)
	}
	got, err := chooseExperiments(all, []string{"skew", "scalability"})
	if err != nil || len(got) != 2 || got[0].Name != "scalability" {
		t.Errorf("two of them = %v, %v, want them in the order of all", got, err)
	}
}

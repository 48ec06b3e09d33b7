package eval

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "fill docs/evaluation.md with the results in docs/evaluation")

const (
	evaluationPage = "../../docs/evaluation.md"
	evaluationDir  = "../../docs/evaluation"
)

// TestPage holds docs/evaluation.md to the results of the last run. With -update it fills the page with them.
func TestPage(t *testing.T) {
	page, err := os.ReadFile(evaluationPage)
	if err != nil {
		t.Fatal(err)
	}
	filled, err := FillPage(page, evaluationDir, "evaluation")
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(evaluationPage, filled, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(page, filled) {
		t.Errorf("%s does not say what is in %s: run go test ./internal/eval -run TestPage -update", evaluationPage, evaluationDir)
	}
}

// A page is filled with what a run has written, and stays what it is when it is filled again.
func TestFillPage(t *testing.T) {
	dir := t.TempDir()
	x := Experiment{Name: "one", Title: "a | title", Source: "here", Run: func(context.Context, Env) (Result, error) {
		return Result{
			Tables:  []Table{{Title: "rate", Corner: "nodes", Unit: "msg/s", Columns: []string{"R=1", "R=2"}, Rows: []Row{{"2", []Cell{Both(56.11, 54.26), {None(), None()}}}}}},
			Notes:   []string{"a <note>"},
			Checks:  []Check{Checked(true, "flat", "3 %%"), Checked(false, "linear", "no")},
			Figures: []Figure{{"one-a", drawn(`<svg><title id="t">rate &amp; nodes</title></svg>`)}},
		}, nil
	}}
	if err := Run(t.Context(), []Experiment{x}, Options{OutDir: dir, Text: t.Output(), Log: t.Output()}); err == nil {
		t.Fatal("a claim does not hold, and Run says nothing of it")
	}
	const page = "before\n<!-- results: one -->what stood there<!-- end of results -->\nbetween <!-- results: two --><!-- end of results --> after\n"
	got, err := FillPage([]byte(page), dir, "drawings")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"before\n<!-- results: one -->\n", "| nodes | R=1 | R=2 |\n|---|---:|---:|\n| 2 | 56.1 / 54.3 | - |\n",
		"**rate, msg/s (published / measured)**", `![rate & nodes](drawings/one-a.svg)`, "- a &lt;note&gt;\n", "| flat | holds | 3 % |\n| linear | **does not hold** | no |\n",
		"between <!-- results: two -->\n\nNo results are kept", "<!-- end of results --> after\n"} {
		if !strings.Contains(string(got), want) {
			t.Errorf("the page has no %q:\n%s", want, got)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "one-a.svg"), []byte("<svg/>"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := FillPage([]byte(page), dir, "drawings"); err == nil {
		t.Error("a drawing without a title was taken")
	}
	if err := os.WriteFile(filepath.Join(dir, "one-a.svg"), []byte("<svg><title>rate &amp; nodes</title></svg>"), 0o600); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(got), "what stood there") {
		t.Error("what stood there before is there still")
	}
	if again, err := FillPage(got, dir, "drawings"); err != nil || !bytes.Equal(got, again) {
		t.Errorf("filled again it is another page: %v", err)
	}
	for _, bad := range []string{"<!-- results: one", "<!-- results: one --> without an end", "<!-- results: ../one --><!-- end of results -->"} {
		if _, err := FillPage([]byte(bad), dir, "drawings"); err == nil {
			t.Errorf("%q was filled", bad)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "two.json"), []byte(`{"experiment":"one"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := FillPage([]byte(page), dir, "drawings"); err == nil {
		t.Error("results of another experiment were taken")
	}
}

type drawn string

func (d drawn) SVG() ([]byte, error) { return []byte(d), nil }

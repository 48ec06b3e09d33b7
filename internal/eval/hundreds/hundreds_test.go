package hundreds

import (
	"testing"

	"porcupine/internal/eval"
)

// TestQuick carries out the experiments in their quick form: they are models and simulations, so they take seconds and
// give the same each time.
func TestQuick(t *testing.T) {
	for _, x := range All() {
		t.Run(x.Name, func(t *testing.T) {
			r, err := x.Run(t.Context(), eval.Env{Quick: true, Dir: t.TempDir(), Progress: t.Logf})
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range r.Checks {
				if !c.OK {
					t.Errorf("does not hold: %s (%s)", c.Claim, c.Figures)
				}
			}
			for _, f := range r.Figures {
				if _, err := f.Drawing.SVG(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

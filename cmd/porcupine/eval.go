package main

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"porcupine/internal/eval"
	"porcupine/internal/eval/cost"
	"porcupine/internal/eval/experiment"
	"porcupine/internal/eval/hundreds"
	"porcupine/internal/eval/part"
)

type evalCmd struct {
	Names []string `arg:"" optional:"" name:"name" help:"Experiments, or 'all', or 'list' (the default)."`
	Quick bool     `help:"Fewer points and shorter windows; the same claims are checked."`
	Out   string   `help:"Directory for the drawings and results, which replace those there; empty: none are written." default:""`
}

// experiments are all experiments, in the order in which they are told.
func experiments() []eval.Experiment {
	return slices.Concat(experiment.All(), cost.All(), part.All(), hundreds.All())
}

func (c *evalCmd) Run(e *env) error {
	all := experiments()
	if len(c.Names) == 0 || slices.Equal(c.Names, []string{"list"}) {
		return listExperiments(e, all)
	}
	chosen, err := chooseExperiments(all, c.Names)
	if err != nil {
		return err
	}
	return eval.Run(e.ctx, chosen, eval.Options{Quick: c.Quick, OutDir: c.Out, Text: e.out, Log: e.errOut})
}

func listExperiments(e *env, all []eval.Experiment) error {
	w := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	for _, x := range all {
		if _, err := fmt.Fprintf(w, "%s\t%s\t%s\n", x.Name, x.Title, x.Source); err != nil {
			return err
		}
	}
	return w.Flush()
}

// chooseExperiments gives those that are named, in the order of all.
func chooseExperiments(all []eval.Experiment, names []string) (chosen []eval.Experiment, err error) {
	if slices.Equal(names, []string{"all"}) {
		return all, nil
	}
	known := make([]string, len(all))
	for i, x := range all {
		known[i] = x.Name
		if slices.Contains(names, x.Name) {
			chosen = append(chosen, x)
		}
	}
	for _, n := range names {
		if !slices.Contains(known, n) {
			return nil, fmt.Errorf("there is no experiment %q: there are %s, and 'all'", n, strings.Join(known, ", "))
		}
	}
	return chosen, nil
}

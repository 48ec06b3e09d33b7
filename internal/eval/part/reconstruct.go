package part

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/eval"
	"porcupine/internal/eval/plot"
)

// recoveryCost is the thesis's: milliseconds against buckets in the user map.
func recoveryCost() map[int]float64 {
	return map[int]float64{128: 637, 256: 651, 512: 680, 1024: 737, 2048: 851}
}

// What is varied, and what is fixed meanwhile.
const (
	rebuildNodes   = 8
	rebuildBuckets = 1024
	rebuildRepeats = 2
	// rebuildRounds is how often all scenes are gone through: a machine that is slow for some seconds makes no scene dearer than
	// another.
	rebuildRounds = 2
)

// rebuilt is one measurement: the least of some repetitions, since other work on the machine can only add.
type rebuilt struct {
	scene
	cost time.Duration // processor time of all members together
	done counts
}

func (r *rebuilt) ms() float64 { return float64(r.cost) / float64(time.Millisecond) }

// reconstruction measures the cost of a death in three rows: against users, against buckets, against nodes.
func reconstruction(ctx context.Context, env eval.Env) (r eval.Result, err error) {
	fixed := pick(env, 30_000, 40_000)
	var users, buckets, nodes []rebuilt
	for _, u := range pick(env, []int{10_000, 20_000, 40_000}, []int{10_000, 20_000, 40_000, 80_000}) {
		users = append(users, rebuilt{scene: scene{rebuildNodes, u, rebuildBuckets}})
	}
	for _, b := range pick(env, []int{128, 2048}, []int{128, 256, 512, 1024, 2048}) {
		buckets = append(buckets, rebuilt{scene: scene{rebuildNodes, fixed, b}})
	}
	for _, n := range pick(env, []int{4, 30}, []int{4, 8, 16, 30}) {
		nodes = append(nodes, rebuilt{scene: scene{n, fixed, cluster.BucketCount / n}})
	}
	for range rebuildRounds {
		for _, list := range [][]rebuilt{users, buckets, nodes} {
			for i := range list {
				if err := list[i].measure(ctx, env); err != nil {
					return r, err
				}
			}
		}
	}
	r.Tables = []eval.Table{
		rebuildTable("against users of the dead node", "users", users, func(m *rebuilt) int { return m.users }),
		rebuildTable("against buckets that move", "buckets", buckets, func(m *rebuilt) int { return m.buckets }),
		rebuildTable("against nodes of as many users each", "nodes", nodes, func(m *rebuilt) int { return m.nodes }),
	}
	r.Notes = []string{
		fmt.Sprintf("Rows of users: %d nodes, %d buckets. Of buckets: %d nodes, %d users. Of nodes: %d users that the dead node managed, in its share of 4,096 buckets.", rebuildNodes, rebuildBuckets, rebuildNodes, fixed, fixed),
		"A user has a profile and one message on two nodes. Cost is the processor time of all surviving members together, the least of " + fmt.Sprint(rebuildRounds*rebuildRepeats) + " repetitions.",
		"Our user map has 4,096 buckets always; what is varied is how many of them the dead node managed. The thesis does not say for how many users its figures are.",
	}
	r.Checks = rebuildChecks(users, buckets, nodes)
	r.Figures = rebuildFigures(fixed, users, buckets, nodes)
	return r, nil
}

// measure repeats the reconstruction of one scene, and keeps the least cost that was seen so far.
func (m *rebuilt) measure(ctx context.Context, env eval.Env) error {
	s := m.scene
	dir := filepath.Join(env.Dir, fmt.Sprintf("%d-%d-%d", s.nodes, s.users, s.buckets))
	f, err := fill(ctx, dir, s)
	if err != nil {
		return err
	}
	err = f.begin(s)
	for i := 0; i < rebuildRepeats && err == nil; i++ {
		var cost time.Duration
		if cost, m.done, err = f.reconstruct(s, i+2); m.cost == 0 || cost < m.cost {
			m.cost = cost
		}
	}
	if err := cmp.Or(err, f.close(), os.RemoveAll(dir), ctx.Err()); err != nil {
		return fmt.Errorf("reconstruct %d users in %d buckets on %d nodes: %w", s.users, s.buckets, s.nodes, err)
	}
	env.Progress("%d nodes, %d users, %d buckets: %.1f ms", s.nodes, s.users, s.buckets, m.ms())
	return nil
}

func rebuildTable(title, corner string, list []rebuilt, of func(*rebuilt) int) eval.Table {
	t := eval.Table{Title: "reconstruction " + title, Corner: corner,
		Columns: []string{"cost, ms of processor", "a member, ms", "a user, µs", "buckets read", "holdings told", "pushes", "KB told"}}
	for i := range list {
		m := &list[i]
		cost := eval.Measured(m.ms())
		if p, ok := recoveryCost()[m.buckets]; ok && corner == "buckets" {
			cost = eval.Both(p, m.ms())
		}
		t.Rows = append(t.Rows, eval.Row{Label: fmt.Sprint(of(m)), Cells: []eval.Cell{cost,
			eval.Measured(m.ms() / float64(m.nodes-1)), eval.Measured(1000 * m.ms() / float64(m.users)),
			eval.Measured(float64(m.done.scanned)), eval.Measured(float64(m.done.holdings)), eval.Measured(float64(m.done.pushes)), eval.Measured(float64(m.done.bytes) / 1000)}})
	}
	return t
}

// Tolerances of the claims. The thesis's own cost rises by 34 % from 128 to 2,048 buckets.
const (
	linearMin  = 0.97 // r² of a straight line
	bucketsMax = 2.0
	nodesMax   = 1.5
)

func rebuildChecks(users, buckets, nodes []rebuilt) []eval.Check {
	var xs, ys []float64
	for i := range users {
		xs, ys = append(xs, float64(users[i].users)), append(ys, users[i].ms())
	}
	r2 := straightness(xs, ys)
	b, n := rise(buckets), rise(nodes)
	return []eval.Check{
		eval.Checked(r2 >= linearMin, "linear in the users", "r² = %.4f from %.0f to %.0f users", r2, xs[0], xs[len(xs)-1]),
		eval.Checked(b <= bucketsMax, "buckets are nearly free: 16 times as many cost less than twice as much", "%.2f times as much from %d to %d", b, buckets[0].buckets, buckets[len(buckets)-1].buckets),
		eval.Checked(n <= nodesMax, "independent of the number of nodes", "%.2f between the dearest and the cheapest, from %d to %d nodes", n, nodes[0].nodes, nodes[len(nodes)-1].nodes),
	}
}

// rise gives the largest cost over the smallest.
func rise(list []rebuilt) float64 {
	compare := func(a, b rebuilt) int { return cmp.Compare(a.cost, b.cost) }
	most, least := slices.MaxFunc(list, compare), slices.MinFunc(list, compare)
	return float64(most.cost) / float64(least.cost)
}

// straightness is the coefficient of determination, r², of the straight line that fits the points best.
func straightness(xs, ys []float64) float64 {
	n, sx, sy, sxx, syy, sxy := float64(len(xs)), 0.0, 0.0, 0.0, 0.0, 0.0
	for i, x := range xs {
		y := ys[i]
		sx, sy, sxx, syy, sxy = sx+x, sy+y, sxx+x*x, syy+y*y, sxy+x*y
	}
	r := (n*sxy - sx*sy) / math.Sqrt((n*sxx-sx*sx)*(n*syy-sy*sy))
	return r * r
}

func rebuildFigures(fixed int, users, buckets, nodes []rebuilt) []eval.Figure {
	points := func(list []rebuilt, of func(*rebuilt) float64) (p []plot.Point) {
		for i := range list {
			p = append(p, plot.Point{X: of(&list[i]), Y: list[i].ms()})
		}
		return p
	}
	var thesis []plot.Point
	var sizes []float64
	published := recoveryCost()
	for _, b := range []int{128, 256, 512, 1024, 2048} {
		sizes = append(sizes, float64(b))
		thesis = append(thesis, plot.Point{X: float64(b), Y: published[b]})
	}
	cost := plot.Axis{Label: "processor time of all members", Unit: "ms"}
	return []eval.Figure{
		{Name: "reconstruction-buckets", Drawing: &plot.Chart{
			Title: "Cost of a death against buckets of the user map", Note: fmt.Sprintf("%d users of the dead node; the thesis does not tell its number of users", fixed),
			X: plot.Axis{Label: "buckets", Log: true, Ticks: sizes}, Y: plot.Axis{Label: "cost", Unit: "ms"},
			Series: []plot.Series{
				{Name: "", Whose: plot.Published, Points: thesis},
				{Name: "", Whose: plot.Measured, Points: points(buckets, func(m *rebuilt) float64 { return float64(m.buckets) })},
			}}},
		{Name: "reconstruction-users", Drawing: &plot.Chart{
			Title: "Cost of a death against the users that the dead node managed", Note: fmt.Sprintf("%d nodes, %d buckets", rebuildNodes, rebuildBuckets),
			X: plot.Axis{Label: "users"}, Y: cost,
			Series: []plot.Series{{Points: points(users, func(m *rebuilt) float64 { return float64(m.users) })}}}},
		{Name: "reconstruction-nodes", Drawing: &plot.Chart{
			Title: "Cost of a death against the number of nodes", Note: fmt.Sprintf("The dead node managed %d users, in its share of 4,096 buckets", fixed),
			X: plot.Axis{Label: "nodes"}, Y: cost,
			Series: []plot.Series{{Points: points(nodes, func(m *rebuilt) float64 { return float64(m.nodes) })}}}},
	}
}

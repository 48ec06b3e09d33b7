package eval

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Marks between which a page tells the results of an experiment. What stands there is made from the files of
// the last run; what stands around it is written by people.
const (
	markBegin = "<!-- results: "
	markEnd   = "<!-- end of results -->"
	markClose = " -->"
)

// recordMax is the largest file of results that is read.
const recordMax = 4 << 20

// UnmarshalJSON reads what MarshalJSON writes: null is None.
func (v *Value) UnmarshalJSON(b []byte) error {
	if bytes.Equal(b, []byte("null")) {
		*v = None()
		return nil
	}
	var f float64
	if err := json.Unmarshal(b, &f); err != nil {
		return err
	}
	*v = Value(f)
	return nil
}

// FillPage gives the page with the results in dir between its marks: for each mark the tables, claims and
// drawings of the experiment that it names. Links to drawings begin with link. An experiment without results is said to
// have none.
func FillPage(page []byte, dir, link string) ([]byte, error) {
	var out bytes.Buffer
	rest := string(page)
	for {
		before, after, ok := strings.Cut(rest, markBegin)
		out.WriteString(before)
		if !ok {
			return out.Bytes(), nil
		}
		name, after, ok := strings.Cut(after, markClose)
		if !ok || name != filepath.Base(name) {
			return nil, fmt.Errorf("fill page: a mark of results that does not end, or names no experiment: %.40q", name)
		}
		if _, rest, ok = strings.Cut(after, markEnd); !ok {
			return nil, fmt.Errorf("fill page: no %q after that of %s", markEnd, name)
		}
		text, err := resultText(filepath.Join(dir, name+".json"), name, link)
		if err != nil {
			return nil, err
		}
		out.WriteString(markBegin + name + markClose + "\n\n" + text + "\n" + markEnd)
	}
}

// resultText gives the results of one experiment as Markdown.
func resultText(path, name, link string) (string, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "No results are kept of this experiment.\n", nil
	}
	if err != nil {
		return "", err
	}
	if info.Size() > recordMax {
		return "", fmt.Errorf("results in %s: %d octets, at most %d", path, info.Size(), recordMax)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	var r record
	if err := json.Unmarshal(data, &r); err != nil {
		return "", fmt.Errorf("results in %s: %w", path, err)
	}
	if r.Experiment != name {
		return "", fmt.Errorf("results in %s are those of %q", path, r.Experiment)
	}
	titles := make([]string, len(r.Figures))
	for i, f := range r.Figures {
		if titles[i], err = drawingTitle(filepath.Join(filepath.Dir(path), f.Name+".svg")); err != nil {
			return "", err
		}
	}
	return r.markdown(link, titles), nil
}

// drawingHead is how much of a drawing is read for its title.
const drawingHead = 4 << 10

// drawingTitle gives what a drawing calls itself.
func drawingTitle(path string) (title string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	head, err := io.ReadAll(io.LimitReader(f, drawingHead))
	if err != nil {
		return "", err
	}
	_, after, begun := strings.Cut(string(head), "<title")
	_, after, opened := strings.Cut(after, ">")
	title, _, ended := strings.Cut(after, "</title>")
	if !begun || !opened || !ended {
		return "", fmt.Errorf("the drawing %s has no title", path)
	}
	return html.UnescapeString(title), nil
}

// markdown writes the record. titles are those of the figures.
func (r *record) markdown(link string, titles []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Run of %s, %s form, %d processors, %.0f s.\n", r.Finished.Format("2006-01-02"), r.Form, r.Processors, r.Seconds)
	for i, f := range r.Figures {
		fmt.Fprintf(&b, "\n![%s](%s/%s.svg)\n", inLine(titles[i]), link, f.Name)
	}
	for i := range r.Tables {
		r.Tables[i].markdown(&b)
	}
	for i, n := range r.Notes {
		if i == 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "- %s\n", inLine(n))
	}
	if len(r.Checks) > 0 {
		b.WriteString("\n| claim | | figures |\n|---|---|---|\n")
	}
	for _, c := range r.Checks {
		verdict := "holds"
		if !c.OK {
			verdict = "**does not hold**"
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", inLine(c.Claim), verdict, inLine(c.Figures))
	}
	return b.String()
}

// markdown writes the table; each cell is "published / measured".
func (t *Table) markdown(b *strings.Builder) {
	title := t.Title
	if t.Unit != "" {
		title += ", " + t.Unit
	}
	if t.hasPublished() {
		title += " (published / measured)"
	}
	fmt.Fprintf(b, "\n**%s**\n\n| %s |", inLine(title), inLine(t.Corner))
	for _, c := range t.Columns {
		fmt.Fprintf(b, " %s |", inLine(c))
	}
	b.WriteString("\n|---|" + strings.Repeat("---:|", len(t.Columns)) + "\n")
	for _, row := range t.Rows {
		fmt.Fprintf(b, "| %s |", inLine(row.Label))
		for _, c := range row.Cells {
			fmt.Fprintf(b, " %s |", c)
		}
		b.WriteByte('\n')
	}
}

// inLine makes text fit for a cell of a table, and keeps it from being taken for markup or for a mark.
func inLine(s string) string {
	return strings.NewReplacer("\r", " ", "\n", " ", "|", `\|`, "<", "&lt;", ">", "&gt;", "*", `\*`, "_", `\_`).Replace(s)
}

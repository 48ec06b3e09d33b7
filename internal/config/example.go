package config

import (
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// Example writes a configuration file with every field, its meaning and its default, commented
// out: reading it back gives the defaults. Tables come after the plain fields, as TOML wants.
func Example(w io.Writer, def Config) error {
	if _, err := fmt.Fprint(w, "# Porcupine: the configuration of one node. Every line shows its default.\n# A field left out, or zero, means the default.\n"); err != nil {
		return err
	}
	return table(w, reflect.ValueOf(def), "")
}

func table(w io.Writer, v reflect.Value, prefix string) error {
	var nested []int
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Type.Kind() == reflect.Struct {
			nested = append(nested, i)
			continue
		}
		value, err := toml.Marshal(map[string]any{f.Tag.Get("toml"): v.Field(i).Interface()})
		if err != nil {
			return fmt.Errorf("example of %s: %w", f.Name, err)
		}
		if _, err := fmt.Fprintf(w, "\n%s# %s\n", wrap(f.Tag.Get("doc")), strings.TrimSpace(string(value))); err != nil {
			return err
		}
	}
	for _, i := range nested {
		f := v.Type().Field(i)
		name := prefix + f.Tag.Get("toml")
		if _, err := fmt.Fprintf(w, "\n%s[%s]\n", wrap(f.Tag.Get("doc")), name); err != nil {
			return err
		}
		if err := table(w, v.Field(i), name+"."); err != nil {
			return err
		}
	}
	return nil
}

// wrap sets text as comment lines of at most 96 columns.
func wrap(text string) string {
	var b strings.Builder
	line := "#"
	for _, word := range strings.Fields(text) {
		if len(line)+1+len(word) > 96 {
			b.WriteString(line + "\n")
			line = "#"
		}
		line += " " + word
	}
	b.WriteString(line + "\n")
	return b.String()
}

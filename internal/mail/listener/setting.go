package listener

import (
	"fmt"
	"time"
)

// Setting is a number or a time in a front end's Config that may be left zero.
type Setting[T int | time.Duration] struct {
	Name    string // of the field, for who made the Config
	Value   *T
	Default T // stands where it is zero
	Min     T // of what is not
}

// Settle fills what was left zero, and says which setting of what is below its least.
func Settle[T int | time.Duration](what string, settings ...Setting[T]) error {
	for _, s := range settings {
		if *s.Value == 0 {
			*s.Value = s.Default
		}
		if *s.Value < s.Min {
			return fmt.Errorf("%s config: %s is %v; want at least %v, or 0 for %v", what, s.Name, *s.Value, s.Min, s.Default)
		}
	}
	return nil
}

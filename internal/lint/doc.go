// Package lint holds the rules of this repository as tests: the import policy (imports.txt), the
// house rules (package house), and what the documents must say (package documents). They need
// nothing but the source, so they run in every "go test ./...".
//
// A breach is one line: place, rule, and what to do. To see what is larger than it should be without
// being a breach: go test -v -run Advice ./internal/lint.
package lint

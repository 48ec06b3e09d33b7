package house

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"porcupine/internal/lint/source"
)

// machinePath matches paths that are good on one machine only: people's home folders, the
// superuser's, and temporary ones.
var machinePath = regexp.MustCompile(`(^|[\s"'=(:` + "`" + `])(/home/\w|/root\b|/Users/\w|/tmp\b|/work\b|[A-Z]:\\)`)

// machineHints are in every machine path; most lines have none, and searching for text is quick.
var machineHints = []string{"/home/", "/root", "/Users/", "/tmp", "/work", `:\`}

// secretText matches private keys and well-known forms of tokens.
var secretText = regexp.MustCompile(`-----BEGIN (\w+ )*PRIVATE KEY-----\s+[A-Za-z0-9+/]{40}|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}\b`)

// secretNames are names and endings of files that hold secrets.
var secretNames = []string{".key", ".pem", ".p12", ".pfx", ".jks", ".env", "id_rsa", "id_ecdsa", "id_ed25519", ".netrc", "credentials"}

// excused reports whether a line may name a path of one machine: it says so with "lint:path", or it
// is a test's example of somebody's home folder.
func excused(name, line string) bool {
	return strings.Contains(line, "lint:path") || strings.HasSuffix(name, "_test.go") && strings.Contains(line, "/home/")
}

// Files judges all text files by name and contents: no paths of one machine, nothing that looks
// like a secret.
func Files(t *source.Tree) (found []source.Finding) {
	judge := func(name, src string) {
		for i, line := range strings.Split(src, "\n") {
			hinted := slices.ContainsFunc(machineHints, func(h string) bool { return strings.Contains(line, h) })
			if hinted && machinePath.MatchString(line) && !excused(name, line) {
				found = append(found, source.Finding{Where: fmt.Sprintf("%s:%d", name, i+1), Rule: "machine path",
					What: fmt.Sprintf("%q is a path of one machine: make it relative, or a setting", strings.TrimSpace(machinePath.FindString(line)))})
			}
		}
		if secretText.MatchString(src) {
			found = append(found, source.Finding{Where: name, Rule: "secret", What: "contains what looks like a private key or a token: make it when it is needed"})
		}
	}
	for _, x := range t.Texts {
		if slices.ContainsFunc(secretNames, func(s string) bool { return strings.HasSuffix(path.Base(x.Path), s) }) {
			found = append(found, source.Finding{Where: x.Path, Rule: "secret", What: "is named like a file of secrets: make it when it is needed"})
		}
		judge(x.Path, x.Src)
	}
	for _, p := range t.Packages {
		if p.Dir == "internal/lint/house" {
			continue // these lines name what they look for
		}
		for _, f := range p.Files {
			judge(f.Path, f.Src)
		}
	}
	return found
}

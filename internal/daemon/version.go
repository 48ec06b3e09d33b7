package daemon

import "runtime/debug"

// release is the version that this source is on the way to.
const release = "0.1.0"

// Version gives the release and, if the program was built from a checkout, its revision.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return release
	}
	revision, dirty := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && len(s.Value) >= 12:
			revision = "+" + s.Value[:12]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = ".dirty"
		}
	}
	return release + revision + dirty
}

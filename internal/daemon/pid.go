package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/identity"
)

// pidName is the file in the data directory with the process id, while the node runs. It is
// written after the store's lock was taken and removed before that is given back, so that one
// process never touches the file of another.
const pidName = "pid"

// writePID keeps the process id where scripts look for it. A reader never sees half of it.
func (d *daemon) writePID() error {
	if err := identity.Dir(d.cfg.DataDir).WriteFile(pidName, []byte(strconv.Itoa(os.Getpid())+"\n")); err != nil {
		return fmt.Errorf("pid file: %w", err)
	}
	path := filepath.Join(d.cfg.DataDir, pidName)
	d.atEnd("pid file", func(context.Context) error {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
	return nil
}

// explainLock says which process has the data directory, if that is why the store did not open.
func explainLock(dataDir string, err error) error {
	if !cluster.IsKind(err, cluster.KindExists) {
		return err
	}
	text, readErr := os.ReadFile(filepath.Join(dataDir, pidName))
	pid, convErr := strconv.Atoi(strings.TrimSpace(string(text)))
	if readErr != nil || convErr != nil {
		return err // another program has it, or the node is about to end
	}
	return cluster.Errorf(cluster.KindExists, "node in "+dataDir, "it runs already, as process %d: %w", pid, err)
}

package main

import (
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/countersign-dev/countersign/orchestrator/tenant"
)

const secretFileFlagName = "secret-file"

func secretFileFlag() cli.Flag {
	return &cli.StringFlag{
		Name: secretFileFlagName, Usage: "`FILE` with the tenant's secret; without it $" + tenant.SecretVariable + " may hold the secret itself",
		EnvVars: []string{locations[secretFileFlagName]},
	}
}

// adminSecret opens what the admin API keeps to its own tenant; empty when
// neither a file nor the environment gives it.
func adminSecret(c *cli.Context) (string, error) {
	file := c.String(secretFileFlagName)
	if file == "" {
		return strings.TrimSpace(os.Getenv(tenant.SecretVariable)), nil
	}
	return readSecret(file)
}

func readSecret(file string) (string, error) {
	secret, err := tenant.ReadSecret(file)
	if err != nil {
		return "", usageError{err.Error()}
	}
	return secret, nil
}

// tenantSecret is the secret of the tenant that is meant: what the command line
// names comes before what the environment does.
func tenantSecret(c *cli.Context) (string, error) {
	data := c.String(dataFlagName)
	if c.String(secretFileFlagName) != "" || data == "" {
		return adminSecret(c)
	}
	if secret, err := adminSecret(c); err != nil || secret != "" && !onCommandLine(c, dataFlagName) {
		return secret, err
	}
	if id := c.String("tenant"); id != "" {
		made, err := tenant.ReadSecret(tenant.StoredSecret(data) + "-" + id)
		switch {
		case err == nil:
			return made, nil
		case !errors.Is(err, fs.ErrNotExist):
			return "", usageError{err.Error()}
		}
	}
	return readSecret(tenant.StoredSecret(data))
}

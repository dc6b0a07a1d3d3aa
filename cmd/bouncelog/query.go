package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"bouncelog/internal/table"
	"bouncelog/internal/term"
	"bouncelog/store"
)

func newQuery() *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use:   "query SQL",
		Short: "Query the database in SQL, read-only",
		Long: `Runs one SQL statement on the database, which is opened read-only. The views
deliveries, bounces, messages, domains, recipients, daily, problems, sources and
unparsed are the public schema (docs/schema.md).`,
		Example: `  bouncelog query "select recipient_domain, count(*) n from bounces group by 1 order by n desc"
  bouncelog query --format csv "select recipient from bounces where reason = 'user_unknown'"`,
		Args: needArgs(1, 1, "an SQL statement"),
		RunE: func(cmd *cobra.Command, args []string) error {
			form, err := out.form(table.FormatTable)
			if err != nil {
				return err
			}
			db, err := openToSave(cmd)
			if err != nil {
				return err
			}
			defer db.Close()
			sql, err := can[store.SQL](db, "be asked in SQL")
			if err != nil {
				return err
			}
			rows, err := sql.Query(cmd.Context(), args[0])
			if err != nil {
				hint := cmp.Or(hintFor(err), "'bouncelog db schema' prints the views and their columns")
				return &exitError{status: max(status(err), exitFailed), err: err, hint: hint}
			}
			defer rows.Close()
			return out.write(cmd, func(w io.Writer) error {
				names := rows.Columns()
				columns := make([]table.Column, len(names))
				for i, name := range names {
					columns[i] = table.Column{Name: name}
				}
				rw := table.NewRowWriter(w, form, columns)
				rw.NoHeader = out.noHeader
				if term.Is(w) {
					rw.Width = term.Width(w)
				}
				for {
					cells, err := rows.Next()
					if errors.Is(err, io.EOF) {
						return rw.Close()
					}
					if err != nil {
						return fmt.Errorf("query: %w", err)
					}
					if err := rw.Row(cells); err != nil {
						return err
					}
				}
			})
		},
	}
	out.flags(cmd, "table")
	cmd.Flags().BoolVar(&out.noHeader, "no-header", false, "no header line")
	return cmd
}

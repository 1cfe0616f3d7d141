"""Many files, one after another: which becomes which (`jobs`), one of them (`file`), all of them (`run`), what is told of it (`events`)."""

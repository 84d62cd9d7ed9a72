set -eu
until mysqladmin ping --host=mysql --connect-timeout=2 --silent; do
  sleep 2
done
umask 077
cat > /config/server.pbtxt <<END
connection_config {
  mysql {
    host: "mysql"
    port: 3306
    database: "metadb"
    user: "$MYSQL_USER"
    password: "$MYSQL_PASSWORD"
  }
}
migration_options { enable_upgrade_migration: true }
END

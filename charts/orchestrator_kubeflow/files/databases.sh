# Read by MySQL's entry point when the volume is new; the passwords stay in its environment.
for database in mlpipeline metadb; do
  docker_process_sql --database=mysql <<-SQL
    CREATE DATABASE IF NOT EXISTS \`$database\`;
    GRANT ALL PRIVILEGES ON \`$database\`.* TO '$MYSQL_USER'@'%';
SQL
done

"""What annotation tools and pose estimators write."""
